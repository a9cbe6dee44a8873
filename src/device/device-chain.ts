import { blake3Hash, recordHash } from '../record/hash.ts';
import { type ChainHead, type Envelope, genesis } from '../record/record.ts';
import type { SignatureScheme } from '../record/signature.ts';
import { type SigningKey, signRecord } from '../record/signing-key.ts';

/** What the device says of a payload: its clock's time in milliseconds since the Unix epoch, and the name it gives it. */
export type PayloadClaim = { readonly timestampMs: bigint; readonly objectRef: string };

export type DeviceChainOptions = {
  readonly deviceId: string;
  readonly scheme: SignatureScheme;
  readonly key: SigningKey;
  /** The last link that the service has; the genesis head for a device that has sent nothing. */
  readonly head?: ChainHead;
};

/** A device's end of its chain: signs payloads and links each record to the one before. */
export class DeviceChain {
  readonly deviceId: string;
  readonly #scheme: SignatureScheme;
  readonly #key: SigningKey;
  #head: ChainHead;

  constructor({ deviceId, scheme, key, head = genesis }: DeviceChainOptions) {
    this.deviceId = deviceId;
    this.#scheme = scheme;
    this.#key = key;
    this.#head = head;
  }

  /** The last link made, whether or not the service has it yet. */
  get head(): ChainHead {
    return this.#head;
  }

  /** The next record of the chain, signed, with its payload. */
  next(payload: Buffer, { timestampMs, objectRef }: PayloadClaim): Envelope {
    const record = signRecord(
      {
        deviceId: this.deviceId,
        sequence: this.#head.sequence + 1n,
        timestampMs,
        payloadHash: blake3Hash(payload),
        prevRecordHash: this.#head.recordHash,
        objectRef,
      },
      this.#scheme,
      this.#key,
    );
    this.#head = { sequence: record.sequence, recordHash: recordHash(record) };
    return { record, payload };
  }

  /** Goes on from `head` instead, as after the service said that it has less or more than was thought. */
  resumeFrom(head: ChainHead): void {
    this.#head = head;
  }
}
