import sodium from 'sodium-native';
import { type DeviceRecord, publicKeyBytes, signatureBytes } from './record.ts';
import { type SignatureScheme, signedMessage } from './signature.ts';

/** An Ed25519 private key: the 32-byte seed of RFC 8032 section 5.1.5 with the public key that follows from it. */
export type SigningKey = { readonly seed: Buffer; readonly publicKey: Buffer };

export const seedBytes = 32;

export function generateSigningKey(): SigningKey {
  const seed = Buffer.allocUnsafeSlow(seedBytes);
  sodium.randombytes_buf(seed);
  return signingKeyFromSeed(seed);
}

/** @throws RangeError when `seed` is not 32 bytes */
export function signingKeyFromSeed(seed: Buffer): SigningKey {
  if (seed.length !== seedBytes) throw new RangeError(`a private key is ${seedBytes} bytes, got ${seed.length}`);
  const publicKey = Buffer.alloc(publicKeyBytes);
  sodium.crypto_sign_seed_keypair(publicKey, Buffer.alloc(sodium.crypto_sign_SECRETKEYBYTES), seed);
  return { seed, publicKey };
}

/** The record with its signature. `unsigned.signature` is not read. */
export function signRecord(
  unsigned: Omit<DeviceRecord, 'signature'>,
  scheme: SignatureScheme,
  key: SigningKey,
): DeviceRecord {
  const record = { ...unsigned, signature: Buffer.alloc(signatureBytes) };
  sodium.crypto_sign_detached(
    record.signature,
    signedMessage(scheme, record),
    Buffer.concat([key.seed, key.publicKey]),
  );
  return record;
}
