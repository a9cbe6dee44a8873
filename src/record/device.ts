import type { VerificationKey } from './signature.ts';

/** A device as the registry knows it. */
export type Device = {
  readonly id: string;
  readonly enabled: boolean;
  /** Changes with every change of the device or of its keys; the ledger commits only what was judged under the current one. */
  readonly revision: bigint;
  readonly keys: readonly DeviceKey[];
};

/** A registered key and when it counts; times in milliseconds since the Unix epoch. */
export type DeviceKey = VerificationKey & {
  readonly validFromMs: number;
  readonly validUntilMs: number | undefined;
  readonly revokedAtMs: number | undefined;
};

/**
 * Several keys per device are for rotation with overlap. Each costs a verification of every bad signature,
 * so there is an end to it.
 */
export const keysPerDeviceMax = 8;

/**
 * Whether the key counted at `atMs`. `slackMs` widens the window at both ends, for a reader whose clock is not the one
 * that admitted the record.
 */
export function keyCountsAt(key: DeviceKey, atMs: number, slackMs = 0): boolean {
  const endMs = Math.min(key.validUntilMs ?? Infinity, key.revokedAtMs ?? Infinity);
  return key.validFromMs <= atMs + slackMs && atMs - slackMs < endMs;
}

/**
 * Why a device must not be registered under this id, or undefined. The id is the prefix of its objects' keys:
 * `records` and `segments` are the service's own, and a part that a path would swallow could reach another device's.
 */
export function deviceIdFault(id: string): string | undefined {
  const parts = id.split('/');
  if (parts[0] === 'records' || parts[0] === 'segments')
    return `'${parts[0]}' is reserved for the service's own objects`;
  if (parts.some((part) => part === '' || part === '.' || part === '..'))
    return "no empty part, no '.' and no '..' may stand between slashes";
  return undefined;
}
