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

/** @param identity what the sender's certificate says it is, where it presented one */
export function judgeIdentity(record: DeviceRecord, identity: string | undefined): Rejection | undefined {
  return identity === undefined || identity === record.deviceId ? undefined : reject.identityMismatch(record, identity);
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
