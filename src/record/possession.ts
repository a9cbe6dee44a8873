import sodium from 'sodium-native';
import { publicKeyFault } from './public-key.ts';
import { signatureBytes } from './record.ts';
import { type SignatureScheme, type VerificationKey, verifyEd25519 } from './signature.ts';
import type { SigningKey } from './signing-key.ts';

/**
 * Proof of possession: a signature by which the holder of a private key asks for it to be registered for one device under
 * one scheme. So nobody registers a key that is not theirs, for another device, or under the weaker scheme.
 *
 * It is no signature of a record, and none is a proof. A payload-v1 signature covers exactly 32 bytes, and this message
 * has never less than 65. A record-v2 signature covers a message that begins "edgesentry:record:v2\0", which parts from
 * the beginning of this one at its twelfth byte, so that neither continues the other.
 *
 * There is no challenge in it, so a proof can be shown again. That asks for what its holder asked for before: the registry
 * has the key already, and a revoked key stays revoked.
 */
const enrolmentDomain = Buffer.from('edgesentry:enrol:v1\0', 'utf8');

/**
 * The bytes that a proof covers: the domain, then device id, scheme and public key, each as a postcard byte string. Two
 * different enrolments never have the same.
 */
export function possessionMessage(deviceId: string, { scheme, publicKey }: VerificationKey): Buffer {
  const fields = [Buffer.from(deviceId, 'utf8'), Buffer.from(scheme, 'utf8'), publicKey];
  return Buffer.concat([enrolmentDomain, ...fields.flatMap((bytes) => [lengthOf(bytes), bytes])]);
}

/** A varint of at most two groups of seven bits: the longest field is a device id of 255 bytes. */
function lengthOf({ length }: Buffer): Buffer {
  if (length >= 1 << 14) throw new RangeError(`a field of an enrolment has ${length} bytes`);
  return Buffer.from(length < 0x80 ? [length] : [(length & 0x7f) | 0x80, length >> 7]);
}

/** The proof, 64 bytes. */
export function provePossession(deviceId: string, scheme: SignatureScheme, { seed, publicKey }: SigningKey): Buffer {
  const proof = Buffer.alloc(signatureBytes);
  const message = possessionMessage(deviceId, { scheme, publicKey });
  sodium.crypto_sign_detached(proof, message, Buffer.concat([seed, publicKey]));
  return proof;
}

/** Under a small-order key anybody could make a proof, so an unsound key has none. A bad proof is `false`. */
export function verifyPossession(deviceId: string, key: VerificationKey, proof: Buffer): boolean {
  return (
    proof.length === signatureBytes &&
    publicKeyFault(key.publicKey) === undefined &&
    verifyEd25519(proof, possessionMessage(deviceId, key), key.publicKey)
  );
}
