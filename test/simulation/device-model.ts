import { DeviceChain } from '../../src/device/device-chain.ts';
import { recordHash } from '../../src/record/hash.ts';
import type { ChainHead, DeviceRecord, Envelope } from '../../src/record/record.ts';
import {
  type SignatureScheme,
  signatureSchemes,
  type VerificationKey,
  verifySignature,
} from '../../src/record/signature.ts';
import { type SigningKey, seedBytes, signingKeyFromSeed } from '../../src/record/signing-key.ts';

/** How a record differs from another one with the same place, key and predecessor. */
export type Variant = { readonly text: string; readonly objectRef?: string };

/** A device with the two keys that it has in its life. What it signs is remembered across schedules. */
export class DeviceModel {
  readonly id: string;
  readonly scheme: SignatureScheme;
  readonly keys: readonly [SigningKey, SigningKey];
  readonly #made = new Map<string, Envelope>();

  constructor(id: string, scheme: SignatureScheme, number: number) {
    this.id = id;
    this.scheme = scheme;
    this.keys = [
      signingKeyFromSeed(Buffer.alloc(seedBytes, 2 * number + 1)),
      signingKeyFromSeed(Buffer.alloc(seedBytes, 2 * number + 2)),
    ];
  }

  /** The record after `head`, signed with the first key or the second. */
  envelope(head: ChainHead, keyIndex: 0 | 1, { text, objectRef }: Variant): Envelope {
    const sequence = head.sequence + 1n;
    const name = `${head.recordHash.toString('latin1')} ${sequence} ${keyIndex} ${text} ${objectRef}`;
    const known = this.#made.get(name);
    if (known !== undefined) return known;
    const chain = new DeviceChain({ deviceId: this.id, scheme: this.scheme, key: this.keys[keyIndex], head });
    // Equivocating records claim the same object, so that its key is fought over.
    const claim = { timestampMs: 1_000n * sequence, objectRef: objectRef ?? `s3://audit/${this.id}/${sequence}.bin` };
    const made = chain.next(Buffer.from(`payload ${sequence} ${text}`), claim);
    this.#made.set(name, made);
    return made;
  }
}

const hashes = new WeakMap<DeviceRecord, Buffer>();

/** The record's hash, computed once. */
export function hashOf(record: DeviceRecord): Buffer {
  const hash = hashes.get(record) ?? recordHash(record);
  hashes.set(record, hash);
  return hash;
}

const signed = new WeakMap<DeviceRecord, Map<Buffer, boolean>>();

/** Whether the record's signature is valid under the key, verified once. */
export function isSigned(record: DeviceRecord, key: VerificationKey): boolean {
  const known = signed.get(record) ?? new Map<Buffer, boolean>();
  const valid = known.get(key.publicKey) ?? verifySignature(record, key);
  signed.set(record, known.set(key.publicKey, valid));
  return valid;
}

export const headAfter = ({ record }: Envelope): ChainHead => ({
  sequence: record.sequence,
  recordHash: hashOf(record),
});

export const devicesMax = 5;

/** The devices of every schedule, half of them under each scheme. */
export const createFleet = (): DeviceModel[] =>
  Array.from({ length: devicesMax }, (_, number) => {
    const scheme = signatureSchemes[number % signatureSchemes.length] ?? 'payload-v1';
    return new DeviceModel(`lift-${number + 1}`, scheme, number);
  });
