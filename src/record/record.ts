/**
 * The record: what a device signs, chains and sends. Field order is the encoding's order.
 * Wire-compatible with edgesentry-rs; the format is docs/record-format.md.
 */
export type DeviceRecord = {
  /** 1 to 255 bytes of UTF-8. */
  readonly deviceId: string;
  /** u64; 1 for a device's first record, then +1 each. */
  readonly sequence: bigint;
  /** u64, milliseconds since the Unix epoch by the device's clock. */
  readonly timestampMs: bigint;
  /** BLAKE3-256 of the raw payload, 32 bytes. */
  readonly payloadHash: Buffer;
  /** Ed25519, 64 bytes; what it covers depends on the scheme of the device's registered key. */
  readonly signature: Buffer;
  /** Record hash of the predecessor, 32 bytes; zeros for the first. */
  readonly prevRecordHash: Buffer;
  /** The object that the device names its payload by. A claim, not a location. */
  readonly objectRef: string;
};

/** A record as it arrives, with the payload that its `payloadHash` speaks of. */
export type Envelope = { readonly record: DeviceRecord; readonly payload: Buffer };

/** The last link of a device's chain. */
export type ChainHead = { readonly sequence: bigint; readonly recordHash: Buffer };

export const hashBytes = 32;
export const signatureBytes = 64;
export const publicKeyBytes = 32;

/** What a new device's chain hangs on: sequence 0, hash of zeros. */
export const genesis: ChainHead = Object.freeze({ sequence: 0n, recordHash: Buffer.alloc(hashBytes) });

/** Fits a btree key and an object key prefix with room to spare. */
export const deviceIdBytesMax = 255;
/** S3 allows keys of 1024 bytes. */
export const objectRefBytesMax = 1024;
/** Postgres `bigint`, the ledger's column for sequence and time. */
export const ledgerIntegerMax = 2n ** 63n - 1n;
export const u64Max = 2n ** 64n - 1n;
