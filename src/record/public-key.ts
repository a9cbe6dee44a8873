import { ed25519 } from '@noble/curves/ed25519.js';
import { publicKeyBytes } from './record.ts';

/**
 * Why a public key must not be registered, or undefined for a sound one: a point of RFC 8032's curve, canonically
 * encoded, in the prime-order subgroup. A small-order key has signatures that verify for any message; a torsioned one
 * verifies under some verifiers and not under others ("Taming the many EdDSAs", section 2).
 */
export function publicKeyFault(publicKey: Buffer): string | undefined {
  if (publicKey.length !== publicKeyBytes) return `a public key is ${publicKeyBytes} bytes, got ${publicKey.length}`;
  let point: InstanceType<typeof ed25519.Point>;
  try {
    // zip215 = false: y must be below the field's prime, and x = 0 must not carry a sign (RFC 8032 section 5.1.3).
    point = ed25519.Point.fromBytes(publicKey, false);
  } catch {
    return 'not a canonical encoding of a point on the curve';
  }
  if (point.isSmallOrder()) return 'a point of small order, under which anybody can make signatures';
  if (!point.isTorsionFree()) return 'a point outside the prime-order subgroup';
  return undefined;
}
