import { type Device, type DeviceKey, keyCountsAt } from '../record/device.ts';
import { judgeAuthor } from '../record/judge.ts';
import type { DeviceRecord } from '../record/record.ts';
import { verifySignature } from '../record/signature.ts';
import type { Mismatch } from './findings.ts';

/**
 * `ingested_at` is Postgres's clock at the commit; the key was judged by the pod's clock before that, and a revocation
 * may have been committed in between. Clocks kept by NTP differ by far less, and no admission is in flight for longer.
 */
export const clockSlackMs = 60_000;

/**
 * Why the record could not have been admitted as signed by its device at `atMs`, undefined where it could. A device that
 * has been suspended since keeps its records: whether it is enabled says nothing of the past.
 */
export function authorMismatch(record: DeviceRecord, device: Device | undefined, atMs: number): Mismatch | undefined {
  const asThen = device && { ...device, enabled: true };
  if (judgeAuthor(record, asThen, atMs, clockSlackMs) === undefined) return undefined;
  if (device === undefined)
    return { problem: 'its device is not in the registry', expected: 'a registered device', actual: 'none' };
  const signer = device.keys.find((key) => verifySignature(record, key));
  if (signer !== undefined)
    return {
      problem: 'it is signed with a key that did not count when it was accepted',
      expected: `${keyText(signer)}, which counts ${windowText(signer)}`,
      actual: `accepted ${timeText(atMs)}`,
    };
  const keys = device.keys.filter((key) => keyCountsAt(key, atMs, clockSlackMs));
  return {
    problem: 'the signature is not valid',
    expected: `a signature by ${keys.map(keyText).join(' or ') || 'a key, of which none counted then'}`,
    actual: record.signature.toString('hex'),
  };
}

const keyText = ({ scheme, publicKey }: DeviceKey) => `${scheme}:${publicKey.toString('hex')}`;
const timeText = (ms: number) => new Date(ms).toISOString();

function windowText({ validFromMs, validUntilMs, revokedAtMs }: DeviceKey): string {
  const until = validUntilMs === undefined ? '' : ` until ${timeText(validUntilMs)}`;
  const revoked = revokedAtMs === undefined ? '' : `, revoked ${timeText(revokedAtMs)}`;
  return `from ${timeText(validFromMs)}${until}${revoked}`;
}
