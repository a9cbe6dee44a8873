import type { DeviceRecord } from '../../src/record/record.ts';
import vectors from './records.json' with { type: 'json' };

const hex = (text: string) => Buffer.from(text, 'hex');

/** A published record with all that follows from it. */
export type RecordVector = {
  readonly record: DeviceRecord;
  readonly payload: Buffer;
  readonly encoded: Buffer;
  readonly recordHash: Buffer;
};

/** The chain of the lift-inspection demo, signed under `payload-v1` with `vectorKey`. */
export const recordVectors: readonly RecordVector[] = vectors.records.map((vector) => ({
  record: {
    deviceId: vector.device_id,
    sequence: BigInt(vector.sequence),
    timestampMs: BigInt(vector.timestamp_ms),
    payloadHash: hex(vector.payload_hash),
    signature: hex(vector.signature),
    prevRecordHash: hex(vector.prev_record_hash),
    objectRef: vector.object_ref,
  },
  payload: hex(vector.payload_hex),
  encoded: hex(vector.preimage_hex),
  recordHash: hex(vector.record_hash),
}));

export const vectorKey = { seed: hex(vectors.seed), publicKey: hex(vectors.public_key) };

export const keyVectors = [
  vectorKey,
  ...vectors.key_vectors.map((key) => ({ seed: hex(key.seed), publicKey: hex(key.public_key) })),
];

/** The first record, where a test needs some valid one. */
export const sampleRecord: DeviceRecord = firstOf(recordVectors).record;

function firstOf<T>(items: readonly T[]): T {
  const [first] = items;
  if (first === undefined) throw new Error('records.json holds no record');
  return first;
}
