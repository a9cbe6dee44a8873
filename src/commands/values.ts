import { type NamedKey, parseDeviceKey } from '../record/device-key.ts';
import { hexToBytes } from '../record/hex.ts';
import { publicKeyFault } from '../record/public-key.ts';
import { hashBytes } from '../record/record.ts';
import { signatureSchemes } from '../record/signature.ts';
import { UsageError, type ValueParser } from './command.ts';

/** Parsers of option values, for `option`. */

/** A 64-bit number, digit for digit. */
export function bigWholeNumber(least: bigint, most: bigint): ValueParser<bigint> {
  return (text, name) => {
    const value = /^[0-9]{1,20}$/.test(text) ? BigInt(text) : undefined;
    if (value === undefined || value < least || value > most)
      throw new UsageError(`${name} must be a whole number from ${least} to ${most}, got '${text}'`);
    return value;
  };
}

export function wholeNumber(least: number, most: number): ValueParser<number> {
  const parse = bigWholeNumber(BigInt(least), BigInt(most));
  return (text, name) => Number(parse(text, name));
}

export function oneOf<const T extends string>(choices: readonly T[]): ValueParser<T> {
  return (text, name) => {
    const choice = choices.find((one) => one === text);
    if (choice === undefined) throw new UsageError(`${name} must be ${choices.join(' or ')}, got '${text}'`);
    return choice;
  };
}

export const scheme = oneOf(signatureSchemes);

export const hash: ValueParser<Buffer> = (text, name) => {
  const bytes = hexToBytes(text);
  if (bytes?.length !== hashBytes)
    throw new UsageError(`${name} must be ${hashBytes * 2} hexadecimal digits, got '${text}'`);
  return bytes;
};

/** A sound Ed25519 public key. */
export const publicKey: ValueParser<Buffer> = (text, name) => {
  const bytes = hexToBytes(text);
  const fault = bytes ? publicKeyFault(bytes) : 'not hexadecimal digits';
  if (bytes === undefined || fault !== undefined)
    throw new UsageError(`${name} must be the 64 hexadecimal digits of an Ed25519 public key, got '${text}': ${fault}`);
  return bytes;
};

export const deviceKey: ValueParser<NamedKey> = (text, name) => {
  const named = parseDeviceKey(text);
  if ('fault' in named) throw new UsageError(`${name} ${named.fault}`);
  return named;
};

export const httpUrl: ValueParser<URL> = (text, name) => {
  const url = URL.parse(text);
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:')
    throw new UsageError(`${name} must be an http:// or https:// address, got '${text}'`);
  return url;
};
