/**
 * The checks of one record that need nothing but the record, its payload and its device. Admission runs them before a
 * record is stored, `eds audit` runs the same ones on what is stored.
 */
import { type Device, keyCountsAt } from './device.ts';
import { blake3Hash } from './hash.ts';
import { objectKeyOf } from './parse.ts';
import type { DeviceRecord, Envelope } from './record.ts';
import { type Rejection, reject } from './rejection.ts';
import { verifySignature } from './signature.ts';

/** Whether `object_ref` may name any object or only one under the device's own prefix. */
export type ObjectRefScope = 'device' | 'any';

export function judgePayload({ record, payload }: Envelope): Rejection | undefined {
  return blake3Hash(payload).equals(record.payloadHash) ? undefined : reject.payloadHashMismatch(record);
}

/**
 * The sender's certificate names the device, or a gateway that may speak for it.
 * @param identities the names in the certificate, undefined where none was presented
 */
export function judgeIdentity(
  record: DeviceRecord,
  device: Device | undefined,
  identities: readonly string[] | undefined,
): Rejection | undefined {
  if (identities === undefined) return undefined;
  const speaks = (name: string) => name === record.deviceId || device?.gateways.includes(name) === true;
  return identities.some(speaks) ? undefined : reject.identityMismatch(record, identities[0] ?? 'none');
}

/**
 * The device is known and enabled, and the signature is valid under one of the keys that count at `atMs`.
 * @param device as the registry has it, undefined when it does not know it
 * @param slackMs see keyCountsAt
 */
export function judgeAuthor(
  record: DeviceRecord,
  device: Device | undefined,
  atMs: number,
  slackMs = 0,
): Rejection | undefined {
  if (device === undefined) return reject.unknownDevice(record);
  if (!device.enabled) return reject.deviceSuspended(record);
  const signed = device.keys.some((key) => keyCountsAt(key, atMs, slackMs) && verifySignature(record, key));
  return signed ? undefined : reject.invalidSignature(record);
}

export function judgeObjectRef(record: DeviceRecord, scope: ObjectRefScope): Rejection | undefined {
  const own = scope === 'any' || objectKeyOf(record.objectRef).startsWith(`${record.deviceId}/`);
  return own ? undefined : reject.objectRefNotAllowed(record);
}
