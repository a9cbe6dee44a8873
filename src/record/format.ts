import type { DeviceRecord, Envelope } from './record.ts';

/** A record as JSON text, byte fields in lowercase hex, 64-bit numbers digit for digit. parseRecord reads it back. */
export function formatRecord(record: DeviceRecord): string {
  return (
    `{"device_id":${JSON.stringify(record.deviceId)},"sequence":${record.sequence},"timestamp_ms":${record.timestampMs}` +
    `,"payload_hash":"${record.payloadHash.toString('hex')}","signature":"${record.signature.toString('hex')}"` +
    `,"prev_record_hash":"${record.prevRecordHash.toString('hex')}","object_ref":${JSON.stringify(record.objectRef)}}`
  );
}

/** The body of `POST /api/v1/ingest`, one line: also a line of a batch. */
export function formatEnvelope({ record, payload }: Envelope): string {
  return `{"record":${formatRecord(record)},"raw_payload_hex":"${payload.toString('hex')}"}`;
}
