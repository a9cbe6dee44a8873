import type { CommitBatch, ProposedRecord, RejectedDecision } from '../ingest/ports.ts';
import { hashBytes, signatureBytes } from '../record/record.ts';

/**
 * The admission statement. One statement is one transaction, so a crash leaves all of it or nothing.
 *
 * - The first record of each run meets the fence, `ON CONFLICT DO NOTHING`, in the order of device ids, so that two
 *   replicas wait for each other in one direction only. It is proposed only for a device that is still as it was when
 *   its records were judged: a revocation counts from its own commit on.
 * - Its predecessor must be there with the hash that it names. A pod proposes only against a head that it has seen
 *   committed, so this fails only where Postgres itself has lost commits, in a restore or a failover that was not
 *   synchronous; then it keeps a pod that remembers them from leaving a hole in the chain.
 * - The rest of a run follows only where its first was inserted. With a plain multi-row `DO NOTHING`, n+1 would go in
 *   although its n lost the race to another record n.
 * - The operation log is written from what was inserted.
 *
 * Fixed-length bytes come as one binary value a column, cut by position: as bytea[] each byte would cost two hex digits
 * and two escapes on either side (measured at 1,024 rows: these four columns would cost the client 1.6 to 2 times the CPU).
 */
export const commitText = `
WITH proposed AS MATERIALIZED (
  SELECT p.*,
         substring($10::bytea FROM (${hashBytes} * (i - 1) + 1)::int FOR ${hashBytes}) AS payload_hash,
         substring($11::bytea FROM (${signatureBytes} * (i - 1) + 1)::int FOR ${signatureBytes}) AS signature,
         substring($12::bytea FROM (${hashBytes} * (i - 1) + 1)::int FOR ${hashBytes}) AS prev_record_hash,
         substring($13::bytea FROM (${hashBytes} * (i - 1) + 1)::int FOR ${hashBytes}) AS record_hash
  FROM unnest($1::text[], $2::bigint[], $3::uuid[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::bigint[],
              $9::bigint[], $14::bigint[]) WITH ORDINALITY
    AS p(device_id, revision, decision_id, sequence, timestamp_ms, object_ref, object_key, object_offset, payload_bytes,
         clock_skew_ms, i)
), first AS (
  INSERT INTO audit_records (device_id, sequence, timestamp_ms, payload_hash, signature, prev_record_hash, object_ref,
                             record_hash, object_key, object_offset, payload_bytes, clock_skew_ms)
  SELECT p.device_id, sequence, timestamp_ms, payload_hash, signature, prev_record_hash, object_ref,
         record_hash, object_key, object_offset, payload_bytes, clock_skew_ms
  FROM proposed p JOIN devices d ON d.id = p.device_id AND d.revision = p.revision
  WHERE p.sequence = 1 OR EXISTS (
    SELECT FROM audit_records a
    WHERE a.device_id = p.device_id AND a.sequence = p.sequence - 1 AND a.record_hash = p.prev_record_hash)
  ORDER BY p.device_id
  ON CONFLICT ON CONSTRAINT audit_records_fence DO NOTHING
  RETURNING device_id
), rest AS (
  INSERT INTO audit_records (device_id, sequence, timestamp_ms, payload_hash, signature, prev_record_hash, object_ref,
                             record_hash, object_key, object_offset, payload_bytes, clock_skew_ms)
  SELECT device_id, sequence, timestamp_ms, payload_hash, signature, prev_record_hash, object_ref,
         record_hash, object_key, object_offset, payload_bytes, clock_skew_ms
  FROM proposed JOIN first USING (device_id)
  WHERE revision IS NULL
), accepted AS (
  INSERT INTO operation_logs (id, decision, device_id, sequence, message)
  SELECT decision_id, 'Accepted', device_id, sequence, 'ingest accepted' FROM proposed JOIN first USING (device_id)
), rejected AS (
  INSERT INTO operation_logs (id, decision, device_id, sequence, code, message, source, count)
  SELECT id, 'Rejected', device_id, sequence, code, message, source, count
  FROM unnest($15::uuid[], $16::text[], $17::bigint[], $18::text[], $19::text[], $20::text[], $21::bigint[])
    AS r(id, device_id, sequence, code, message, source, count)
), evidence AS (
  INSERT INTO equivocations (device_id, sequence, record_hash, record)
  SELECT device_id, sequence, record_hash, record
  FROM unnest($22::text[], $23::bigint[], $24::bytea[], $25::bytea[]) AS e(device_id, sequence, record_hash, record)
  ORDER BY device_id, sequence, record_hash
  ON CONFLICT DO NOTHING
)
SELECT device_id FROM first`;

/** The values of commitText. `revision` stands at the first record of each run only. */
export function commitValues({ runs, rejections }: CommitBatch): unknown[] {
  const rows = runs.flatMap(({ revision, records }) =>
    records.map((proposed, index) => ({ ...proposed, revision: index === 0 ? revision : null })),
  );
  const column = <T>(value: (row: ProposedRecord & { revision: bigint | null }) => T) => rows.map(value);
  const bytes = (value: (row: ProposedRecord) => Buffer) => Buffer.concat(rows.map(value));
  const refused = <T>(value: (rejection: RejectedDecision) => T) => rejections.map(value);
  const evidence = rejections.flatMap(({ deviceId, sequence, evidence }) =>
    evidence === undefined ? [] : [{ deviceId, sequence, ...evidence }],
  );
  return [
    column(({ record }) => record.deviceId),
    column(({ revision }) => revision),
    column(({ decisionId }) => decisionId),
    column(({ record }) => record.sequence),
    column(({ record }) => record.timestampMs),
    column(({ record }) => record.objectRef),
    column(({ location }) => location.objectKey),
    column(({ location }) => location.offset ?? null),
    column(({ location }) => location.bytes),
    bytes(({ record }) => record.payloadHash),
    bytes(({ record }) => record.signature),
    bytes(({ record }) => record.prevRecordHash),
    bytes(({ recordHash }) => recordHash),
    column(({ clockSkewMs }) => clockSkewMs ?? null),
    refused(({ decisionId }) => decisionId),
    refused(({ deviceId }) => deviceId),
    refused(({ sequence }) => sequence),
    refused(({ code }) => code),
    refused(({ message }) => message),
    refused(({ source }) => source ?? null),
    refused(({ count }) => count),
    evidence.map(({ deviceId }) => deviceId),
    evidence.map(({ sequence }) => sequence),
    evidence.map(({ recordHash }) => recordHash),
    evidence.map(({ encoded }) => encoded),
  ];
}
