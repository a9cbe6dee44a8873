import type { Rate } from '../ingest/rate-limits.ts';
import { SourceAllowlist } from '../ingest/source-allowlist.ts';
import { deviceIdFault } from '../record/device.ts';
import { parseDeviceKey } from '../record/device-key.ts';
import type { VerificationKey } from '../record/signature.ts';
import type { Parser } from './values.ts';

/** Parsers of flags. Each throws RangeError, whose message follows the flag's name. */

export type Address = { readonly host: string; readonly port: number };
export type InitialDevice = { readonly id: string; readonly key: VerificationKey };

/** `host:port`, `[v6]:port` or `:port`. */
export function address(text: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw new RangeError(`must be HOST:PORT or [IPV6]:PORT, got '${text}'`);
  return { host: match[1] ?? (match[2] || '0.0.0.0'), port };
}

export function allowlist(text: string): SourceAllowlist {
  const entries = text.split(',').map((entry) => entry.trim());
  try {
    return new SourceAllowlist(entries.filter((entry) => entry !== ''));
  } catch (error) {
    throw new RangeError(`must be addresses and CIDR blocks with commas: ${(error as Error).message}`);
  }
}

/** Never repeats what was given: it holds a password. */
export function databaseUrl(text: string): string {
  if (!/^postgres(ql)?:\/\//.test(text))
    throw new RangeError('(or DATABASE_URL) must be postgres://USER:PASSWORD@HOST:PORT/DATABASE');
  return text;
}

/** See parseDeviceKey; the id is one that a device may be registered under. */
export function initialDevice(text: string): InitialDevice {
  const named = parseDeviceKey(text);
  if ('fault' in named) throw new RangeError(named.fault);
  const fault = deviceIdFault(named.deviceId);
  if (fault !== undefined) throw new RangeError(`${JSON.stringify(named.deviceId)}: ${fault}`);
  return { id: named.deviceId, key: named.key };
}

export function path(text: string): string {
  if (text === '') throw new RangeError('must name a file or directory');
  return text;
}

export function httpUrl(text: string): string {
  if (!/^https?:$/.test(URL.parse(text)?.protocol ?? ''))
    throw new RangeError(`must be an http(s) address, got '${text}'`);
  return text;
}

export function wholeNumber(least: number, most: number): Parser<number> {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= least && value <= most))
      throw new RangeError(`must be a whole number from ${least} to ${most}, got '${text}'`);
    return value;
  };
}

/** `off`, or `RATE` a second, or `RATE:BURST`; without a burst it is a second's worth. */
export function rate(text: string): Rate | undefined {
  if (text === 'off') return undefined;
  const [, perSecondText, burstText] = /^(\d{1,9}(?:\.\d{1,3})?)(?::(\d{1,9}))?$/.exec(text) ?? [];
  const perSecond = Number(perSecondText);
  const burst = burstText === undefined ? Math.max(1, perSecond) : Number(burstText);
  if (!(perSecond > 0 && burst >= 1))
    throw new RangeError(`must be off, or RATE or RATE:BURST such as 100:1000 (records a second), got '${text}'`);
  return { perSecond, burst };
}

export function oneOf<const T extends string>(choices: readonly T[]): Parser<T> {
  return (text) => {
    const choice = choices.find((one) => one === text);
    if (choice === undefined) throw new RangeError(`must be ${choices.join(' or ')}, got '${text}'`);
    return choice;
  };
}
