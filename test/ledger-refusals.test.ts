/** The operation log under a flood of refusals, and clocks that are off, on a real Postgres. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import pg from 'pg';
import { query } from '../dev/database.ts';
import { DeviceChain } from '../src/device/device-chain.ts';
import type { Admission } from '../src/ingest/admission.ts';
import type { Sender } from '../src/ingest/ports.ts';
import type { Verdict } from '../src/ingest/verdict.ts';
import { migrate } from '../src/ledger/migrate.ts';
import type { Envelope } from '../src/record/record.ts';
import { commit, openLedger, rejection } from './support/ledger.ts';
import { createTestDatabase } from './support/postgres.ts';
import { type ServiceOptions, startService, TestDevice, type TestService } from './support/service.ts';

const from = (address: string): Sender => ({ transport: 'http', address, identities: undefined });
const flooder = from('192.0.2.66');
const codeOf = (verdict: Verdict) => (verdict.status === 'rejected' ? verdict.rejection.code : verdict.status);

type LogRow = { device_id: string; sequence: string; code: string; source: string | null; count: string };

async function refusalRows({ pool }: Pick<TestService, 'pool'>): Promise<LogRow[]> {
  const { rows } = await pool.query<LogRow>(
    `SELECT device_id, sequence, code, source, count FROM operation_logs WHERE decision = 'Rejected' ORDER BY created_at`,
  );
  return rows;
}

const total = (rows: readonly LogRow[]) => rows.reduce((sum, { count }) => sum + Number(count), 0);

/** One batch of one device. */
function admitBatch({ ingest }: TestService, envelopes: readonly Envelope[]): Promise<Verdict[]> {
  let last: Admission | undefined;
  const verdicts = envelopes.map((envelope) => {
    last = ingest.admit(envelope, flooder, last);
    return last.verdict;
  });
  return Promise.all(verdicts);
}

test('a flood of refusals leaves few rows in the operation log, and their counts are exact', async (t) => {
  await using service = await startService(t);
  const strangers = Array.from({ length: 2000 }, (_, index) => new TestDevice(`stranger-${index % 20}`).next());
  const honest = await service.device('lift-01');
  const verdicts = Promise.all(strangers.map((envelope) => service.ingest.admit(envelope, flooder).verdict));
  const other = await service.ingest.admit({ ...honest.next(), payload: Buffer.from('x') }, from('192.0.2.1')).verdict;
  assert.equal(codeOf(other), 'payload_hash_mismatch');
  assert.deepEqual(new Set((await verdicts).map(codeOf)), new Set(['unknown_device']));
  const rows = await refusalRows(service);
  assert.equal(total(rows), 2001);
  // The burst of a source, one row of what came at once behind it, and the other source's.
  assert.ok(rows.length <= 110, `${rows.length} rows`);
  const shared = rows.find(({ count }) => count !== '1');
  assert.deepEqual(
    { ...shared, count: undefined },
    { device_id: '', sequence: '0', code: 'unknown_device', source: '192.0.2.66', count: undefined },
  );
  assert.deepEqual(
    rows.filter(({ source }) => source === '192.0.2.1').map(({ device_id, count }) => ({ device_id, count })),
    [{ device_id: 'lift-01', count: '1' }],
  );
});

/** Counts what is asked of the ledger. */
function countingLedger() {
  const calls = { commit: 0, readHeads: 0, readRecordHashes: 0 };
  const wrapLedger: ServiceOptions['wrapLedger'] = (ledger) => ({
    commit: (batch) => {
      calls.commit++;
      return ledger.commit(batch);
    },
    readHeads: (ids) => {
      calls.readHeads++;
      return ledger.readHeads(ids);
    },
    readRecordHashes: (places) => {
      calls.readRecordHashes++;
      return ledger.readRecordHashes(places);
    },
  });
  return { calls, wrapLedger };
}

test('lines behind a refused one, and a batch sent again, are answered by few statements and not one after the other', async (t) => {
  const { calls, wrapLedger } = countingLedger();
  await using service = await startService(t, { wrapLedger });
  const device = await service.device('lift-01');
  const envelopes = Array.from({ length: 500 }, () => device.next());
  const [first, ...rest] = envelopes;
  assert.ok(first);
  const behind = await admitBatch(service, [{ ...first, payload: Buffer.from('another') }, ...rest]);
  assert.deepEqual(behind.map(codeOf), ['payload_hash_mismatch', ...rest.map(() => 'predecessor_rejected')]);
  assert.ok(calls.commit <= 5, `${calls.commit} commits`);

  assert.deepEqual(new Set((await admitBatch(service, envelopes)).map(codeOf)), new Set(['accepted']));
  calls.commit = calls.readHeads = calls.readRecordHashes = 0;
  const again = await admitBatch(service, envelopes);
  for (const verdict of again) {
    assert.equal(codeOf(verdict), 'duplicate_record');
    assert.ok(verdict.status === 'rejected' && verdict.rejection.identical);
    assert.equal(verdict.rejection.expectedSequence, 501n);
  }
  for (const [call, times] of Object.entries(calls)) assert.ok(times <= 10, `${call}: ${times} times`);
  assert.equal(total(await refusalRows(service)), 1000);
});

/** Of 5 ms each: what is to wait does so within milliseconds. */
const looksMax = 2000;

/** The backend that waits for `holder`. Asked outside its transaction, which would see the same backends each time. */
async function blockedBy(holder: pg.Client, databaseUrl: string): Promise<number> {
  const { rows: own } = await holder.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  for (let look = 0; look < looksMax; look++) {
    const [waiting] = await query(
      databaseUrl,
      `SELECT pid FROM pg_stat_activity WHERE ${own[0]?.pid} = ANY (pg_blocking_pids(pid))`,
    );
    if (waiting !== undefined) return Number(waiting.pid);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error('nothing waits for the holder');
}

test('I1 durable-before-answered: refusals whose shared row may be lost are not final', {
  timeout: 30_000,
}, async (t) => {
  await using service = await startService(t, { bounds: { refusalRows: { perSecond: 0.001, burst: 1 } } });
  const stranger = new TestDevice('stranger').next();
  assert.equal(codeOf(await service.ingest.admit(stranger, flooder).verdict), 'unknown_device');
  const holder = new pg.Client({ connectionString: service.databaseUrl });
  await holder.connect();
  try {
    await holder.query('BEGIN; LOCK TABLE operation_logs IN SHARE MODE');
    const verdicts = Promise.all(Array.from({ length: 50 }, () => service.ingest.admit(stranger, flooder).verdict));
    await holder.query('SELECT pg_terminate_backend($1)', [await blockedBy(holder, service.databaseUrl)]);
    assert.deepEqual(new Set((await verdicts).map(codeOf)), new Set(['unavailable']));
    await holder.query('ROLLBACK');
  } finally {
    await holder.end();
  }
  assert.equal(total(await refusalRows(service)), 1);
  assert.equal(codeOf(await service.ingest.admit(stranger, flooder).verdict), 'unknown_device');
  assert.equal(total(await refusalRows(service)), 2);
});

test('a clock that is off is told in the row, to the millisecond and however far, and refused nothing', async (t) => {
  await using service = await startService(t, { bounds: { clockSkewMaxMs: 60_000 } });
  const { key } = await service.device('lift-01');
  const chain = new DeviceChain({ deviceId: 'lift-01', scheme: 'payload-v1', key });
  const nowMs = BigInt(Date.now());
  const times = [nowMs, nowMs + 3_600_000n, 0n, 2n ** 63n - 1n];
  for (const timestampMs of times) {
    const envelope = chain.next(Buffer.from('x'), { timestampMs, objectRef: `lift-01/${timestampMs}` });
    assert.equal(codeOf(await service.ingest.admit(envelope, flooder).verdict), 'accepted');
  }
  const laterMs = BigInt(Date.now());
  const { rows } = await service.pool.query<{ clock_skew_ms: string | null }>(
    'SELECT clock_skew_ms FROM audit_records ORDER BY sequence',
  );
  const [right, ...off] = rows.map(({ clock_skew_ms }) => clock_skew_ms);
  assert.equal(right, null);
  for (const [index, skew] of off.entries()) {
    const arrivedMs = BigInt(skew ?? 0) + (times[index + 1] ?? 0n);
    assert.ok(arrivedMs >= nowMs && arrivedMs <= laterMs, `${skew}`);
  }
});

const asBefore = `
  INSERT INTO operation_logs (id, decision, device_id, sequence, code, message)
    VALUES (gen_random_uuid(), 'Rejected', 'lift-01', 1, 'unknown_device', 'x');
  INSERT INTO audit_records (device_id, sequence, timestamp_ms, payload_hash, signature, prev_record_hash, object_ref,
                             record_hash, object_key, object_offset, payload_bytes)
    SELECT 'lift-' || gen_random_uuid(), 1, 0, h, h || h, h, 'x', h, 'x', NULL, 0 FROM decode(repeat('00', 32), 'hex') h`;

/** A database as the first version left it. */
async function firstVersion(t: TestContext): Promise<string> {
  const { url } = await createTestDatabase(t);
  const name = '0001_ledger.sql';
  const sql = await readFile(join(import.meta.dirname, '../migrations', name), 'utf8');
  const checksum = createHash('sha256').update(sql).digest('hex');
  await query(
    url,
    'DROP SCHEMA public CASCADE',
    'CREATE SCHEMA public',
    `CREATE TABLE schema_migrations (version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
                                     applied_at timestamptz NOT NULL DEFAULT clock_timestamp())`,
    sql,
    `INSERT INTO schema_migrations (version, name, checksum) VALUES (1, '${name}', '${checksum}')`,
  );
  return url;
}

test('a version from before the counts runs on over the new schema, and its rows count one each', async (t) => {
  const databaseUrl = await firstVersion(t);
  await query(databaseUrl, asBefore);
  await migrate({ databaseUrl });
  await query(databaseUrl, asBefore);
  assert.deepEqual(
    await query(databaseUrl, `SELECT count, source FROM operation_logs WHERE decision = 'Rejected'`),
    Array(2).fill({ count: '1', source: null }),
  );
  assert.deepEqual(
    await query(databaseUrl, 'SELECT clock_skew_ms FROM audit_records'),
    Array(2).fill({ clock_skew_ms: null }),
  );
});

test('a migration beside a commit that has begun waits for it, and neither costs the other', {
  timeout: 30_000,
}, async (t) => {
  const databaseUrl = await firstVersion(t);
  const [records = '', log = ''] = asBefore.split(';').reverse();
  const committing = new pg.Client({ connectionString: databaseUrl });
  await committing.connect();
  try {
    await committing.query(`BEGIN; ${records}`);
    const migrated = migrate({ databaseUrl });
    await blockedBy(committing, databaseUrl);
    await committing.query(log);
    await committing.query('COMMIT');
    await migrated;
  } finally {
    await committing.end();
  }
  const rows = await query(databaseUrl, 'SELECT FROM operation_logs JOIN audit_records ON true');
  assert.equal(rows.length, 1);
});

test('of the claims to one place the first sixteen are kept, and each refusal is counted', async (t) => {
  await using db = await openLedger(t);
  const claim = (sequence: bigint, claimed: number) =>
    rejection('lift-01', {
      code: 'equivocation',
      sequence,
      evidence: { encoded: Buffer.from('x'), recordHash: Buffer.alloc(32, claimed) },
    });
  await commit(db, { rejections: Array.from({ length: 12 }, (_, index) => claim(1n, index)) });
  await commit(db, { rejections: Array.from({ length: 12 }, (_, index) => claim(1n, 12 + index)) });
  await commit(db, { rejections: [claim(1n, 24), claim(2n, 24)] });
  const { rows } = await db.pool.query(
    'SELECT sequence::int, count(*)::int, max(get_byte(record_hash, 0)) AS last FROM equivocations GROUP BY 1 ORDER BY 1',
  );
  assert.deepEqual(rows, [
    { sequence: 1, count: 16, last: 15 },
    { sequence: 2, count: 1, last: 24 },
  ]);
  assert.equal(total(await refusalRows(db)), 26);
});

test('a captured record that is sent again and again with another time fills neither log nor evidence', async (t) => {
  await using service = await startService(t);
  const device = await service.device('lift-01');
  const captured = device.next();
  assert.equal(codeOf(await service.ingest.admit(captured, flooder).verdict), 'accepted');
  const claims = Array.from({ length: 1000 }, (_, index) => ({
    ...captured,
    record: { ...captured.record, timestampMs: captured.record.timestampMs + BigInt(index + 1) },
  }));
  const verdicts = await Promise.all(claims.map((envelope) => service.ingest.admit(envelope, flooder).verdict));
  assert.deepEqual(new Set(verdicts.map(codeOf)), new Set(['equivocation']));
  const rows = await refusalRows(service);
  assert.equal(total(rows), 1000);
  // The burst of the source and that of the device's evidence, and what gathered behind them.
  assert.ok(rows.length <= 140, `${rows.length} rows`);
  const { rows: evidence } = await service.pool.query('SELECT FROM equivocations');
  assert.equal(evidence.length, 16);
});

test('a month that is made later takes counts as well, and no partition takes a row that counts nothing', async (t) => {
  const databaseUrl = await firstVersion(t);
  await migrate({ databaseUrl });
  await query(databaseUrl, 'SELECT ensure_operation_log_partitions(6)');
  const months = await query(
    databaseUrl,
    `SELECT date_trunc('month', now()) + make_interval(months => i) AS moment FROM generate_series(0, 7) i`,
  );
  for (const { moment } of months) {
    const insert = (count: number, decision = 'Rejected') =>
      query(
        databaseUrl,
        `INSERT INTO operation_logs (id, decision, device_id, sequence, message, source, count, created_at)
         VALUES (gen_random_uuid(), '${decision}', '', 0, 'x', '192.0.2.1', ${count},
                 '${(moment as Date).toISOString()}'::timestamptz + interval '12 hours')`,
      );
    await insert(12);
    await assert.rejects(insert(0), { code: '23514' });
    await assert.rejects(insert(2, 'Accepted'), { code: '23514' });
  }
  const [sum] = await query(databaseUrl, 'SELECT sum(count) FROM operation_logs');
  assert.deepEqual(sum, { sum: '96' });
});

test('a refusal is logged with its source, and one that counts nothing refuses the batch', async (t) => {
  await using db = await openLedger(t);
  await commit(db, { rejections: [rejection('lift-01', { source: '2001:db8::7' }), rejection('', { count: 40 })] });
  await assert.rejects(commit(db, { rejections: [rejection('lift-01', { count: 0 })] }), { name: 'BatchRefused' });
  assert.deepEqual(
    (await refusalRows(db)).map(({ device_id, source, count }) => ({ device_id, source, count })),
    [
      { device_id: 'lift-01', source: '2001:db8::7', count: '1' },
      { device_id: '', source: null, count: '40' },
    ],
  );
});
