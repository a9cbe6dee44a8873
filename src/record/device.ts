import { deviceIdBytesMax } from './record.ts';
import type { VerificationKey } from './signature.ts';
import { textFault } from './text.ts';

/** A device as the registry knows it. */
export type Device = {
  readonly id: string;
  readonly enabled: boolean;
  /** Changes with every change of the device, its keys or its gateways; the ledger commits only what was judged under the current one. */
  readonly revision: bigint;
  readonly keys: readonly DeviceKey[];
  /** Names in certificates that may speak for this device besides its own id. */
  readonly gateways: readonly string[];
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
 * How long before its time a key counts already. The time is Postgres's, the moment is a pod's: to a pod whose clock is
 * behind, a key registered just now lies in the future, and the device would be refused for good. Well under what the
 * audit allows between the two clocks.
 */
export const earlyStartMs = 5_000;

/**
 * Whether the key counted at `atMs`. `slackMs` widens the window at both ends, for a reader whose clock is not the one
 * that admitted the record; at its start there is always `earlyStartMs`. At its end there is none: an ended key must not
 * live longer.
 */
export function keyCountsAt(key: DeviceKey, atMs: number, slackMs = 0): boolean {
  const endMs = Math.min(key.validUntilMs ?? Infinity, key.revokedAtMs ?? Infinity);
  return key.validFromMs <= atMs + Math.max(slackMs, earlyStartMs) && atMs - slackMs < endMs;
}

/**
 * Why a device must not be registered under this id, or undefined: no record could name it, or, since the id is the
 * prefix of its objects' keys, they would lie among others'. `records` and `segments` are the service's own, and a part that a path would swallow could reach another device's.
 */
export function deviceIdFault(id: string): string | undefined {
  const fault = textFault(id, deviceIdBytesMax);
  if (fault !== undefined) return fault;
  const parts = id.split('/');
  if (parts[0] === 'records' || parts[0] === 'segments')
    return `'${parts[0]}' is reserved for the service's own objects`;
  if (parts.some((part) => part === '' || part === '.' || part === '..'))
    return "no empty part, no '.' and no '..' may stand between slashes";
  return undefined;
}

/** Who speaks for a device is read with its keys, each time: a site has a gateway or two, and their spares. */
export const gatewaysPerDeviceMax = 16;
/** The registry's column. No longer name fits a DNS SAN (RFC 1035 section 2.3.4). */
const gatewayBytesMax = 255;

/** Why no certificate can speak for a device under this name, or undefined. */
export function gatewayFault(identity: string): string | undefined {
  return textFault(identity, gatewayBytesMax);
}

/** The registry's column. */
const siteBytesMax = 255;

/** Why a device must not be said to stand at this site, or undefined. None at all is told by leaving it out. */
export function siteFault(site: string): string | undefined {
  return site === '' ? undefined : textFault(site, siteBytesMax);
}
