import sodium from 'sodium-native';
import { encodeUnsigned } from './encoding.ts';
import type { DeviceRecord } from './record.ts';

/**
 * What a device's signature covers. A property of the registered key, never of the message, so that
 * nobody can downgrade a device to the weaker one.
 */
export type SignatureScheme = (typeof signatureSchemes)[number];
export const signatureSchemes = ['payload-v1', 'record-v2'] as const;

/** A raw Ed25519 public key of 32 bytes and what it signs. */
export type VerificationKey = { readonly scheme: SignatureScheme; readonly publicKey: Buffer };

/** Separates record signatures from every other use of the same key. */
const recordDomain = Buffer.from('edgesentry:record:v2\0', 'utf8');

/** The bytes that the scheme signs for this record. */
export function signedMessage(scheme: SignatureScheme, record: DeviceRecord): Buffer {
  switch (scheme) {
    case 'payload-v1':
      return record.payloadHash;
    case 'record-v2':
      return Buffer.concat([recordDomain, encodeUnsigned(record)]);
  }
}

/** Whether the record's signature is valid under `key`. A bad signature is `false`, never an exception. */
export function verifySignature(record: DeviceRecord, key: VerificationKey): boolean {
  return verifyEd25519(record.signature, signedMessage(key.scheme, record), key.publicKey);
}

/**
 * RFC 8032 section 5.1.7 in libsodium's strict profile: cofactorless, S below the group order, A and R canonical
 * and not of small order. Every replica must draw this line at the same place, or replicas would fork;
 * test/ed25519-profile.test.ts holds it against the published edge cases and against OpenSSL.
 * @param signature 64 bytes
 * @param publicKey 32 bytes
 */
export function verifyEd25519(signature: Buffer, message: Buffer, publicKey: Buffer): boolean {
  return sodium.crypto_sign_verify_detached(signature, message, publicKey);
}
