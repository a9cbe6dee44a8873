import type pg from 'pg';
import type { PayloadLocation } from '../ingest/ports.ts';
import type { DeviceRecord } from '../record/record.ts';

/** A record as the ledger's queries answer it. */
export const recordColumns = 'device_id, sequence, timestamp_ms, payload_hash, signature, prev_record_hash, object_ref';
export const locationColumns = 'object_key, object_offset, payload_bytes';

export interface RecordRow extends pg.QueryResultRow {
  device_id: string;
  sequence: string;
  timestamp_ms: string;
  payload_hash: Buffer;
  signature: Buffer;
  prev_record_hash: Buffer;
  object_ref: string;
}

export interface LocationRow extends pg.QueryResultRow {
  object_key: string;
  object_offset: string | null;
  payload_bytes: string;
}

export function recordFromRow(row: RecordRow): DeviceRecord {
  return {
    deviceId: row.device_id,
    sequence: BigInt(row.sequence),
    timestampMs: BigInt(row.timestamp_ms),
    payloadHash: row.payload_hash,
    signature: row.signature,
    prevRecordHash: row.prev_record_hash,
    objectRef: row.object_ref,
  };
}

export function locationFromRow(row: LocationRow): PayloadLocation {
  return {
    objectKey: row.object_key,
    offset: row.object_offset === null ? undefined : Number(row.object_offset),
    bytes: Number(row.payload_bytes),
  };
}
