/** The admission statement on a real Postgres. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatchRefused, type ProposedRun } from '../src/ingest/ports.ts';
import { encodeRecord } from '../src/record/encoding.ts';
import { recordHash } from '../src/record/hash.ts';
import type { Envelope } from '../src/record/record.ts';
import { commit, nexts, openLedger, proposed, rejection, runOf } from './support/ledger.ts';
import { recordCount, type TestDevice } from './support/service.ts';

test('a committed run is there with every field, its payload location and its operation log', async (t) => {
  await using db = await openLedger(t);
  const device = await db.device('lift-01');
  const [first, second] = nexts(device, 2) as [Envelope, Envelope];
  const run = await runOf(db, 'lift-01', [first, second]);
  const inSegment = { objectKey: 'segments/1', offset: 77, bytes: 9 };
  const records = [
    run.records[0],
    { ...proposed(second), location: inSegment, clockSkewMs: -7n },
  ] as ProposedRun['records'];
  const inserted = await commit(db, {
    runs: [{ ...run, records }],
    rejections: [rejection('nobody', { source: '192.0.2.7', count: 3 })],
  });
  assert.deepEqual(inserted, new Set(['lift-01']));
  const { rows } = await db.pool.query('SELECT * FROM audit_records ORDER BY sequence');
  assert.equal(rows.length, 2);
  for (const [index, { record }] of [first, second].entries()) {
    const { ingested_at, ...row } = rows[index];
    assert.ok(ingested_at instanceof Date);
    assert.deepEqual(row, {
      device_id: 'lift-01',
      sequence: String(index + 1),
      timestamp_ms: '1700000000000',
      payload_hash: record.payloadHash,
      signature: record.signature,
      prev_record_hash: record.prevRecordHash,
      object_ref: record.objectRef,
      record_hash: recordHash(record),
      object_key: index === 0 ? record.objectRef : 'segments/1',
      object_offset: index === 0 ? null : '77',
      payload_bytes: index === 0 ? String(first.payload.length) : '9',
      clock_skew_ms: index === 0 ? null : '-7',
    });
  }
  const { rows: logs } = await db.pool.query(
    `SELECT id, decision, device_id, sequence, code, message, source, count FROM operation_logs
     WHERE decision <> 'Registry' ORDER BY device_id, sequence`,
  );
  const accepted = records.map(({ decisionId }, index) => ({
    id: decisionId,
    decision: 'Accepted',
    device_id: 'lift-01',
    sequence: String(index + 1),
    code: null,
    message: 'ingest accepted',
    source: null,
    count: '1',
  }));
  assert.deepEqual(
    logs.map(({ id, ...row }) => (row.decision === 'Accepted' ? { id, ...row } : row)),
    [
      ...accepted,
      {
        decision: 'Rejected',
        device_id: 'nobody',
        sequence: '1',
        code: 'invalid_signature',
        message: 'no',
        source: '192.0.2.7',
        count: '3',
      },
    ],
  );
});

test('where the first of a run lost its place, nothing of the run goes in, and its neighbours do', async (t) => {
  await using db = await openLedger(t);
  const [winner, loser] = [await db.device('a'), await db.device('b')];
  const taken = loser.next();
  await commit(db, { runs: [await runOf(db, 'b', [taken])] });
  const rival = loser.rival('another story');
  const runs = [await runOf(db, 'a', nexts(winner, 3)), await runOf(db, 'b', [rival, loser.next(), loser.next()])];
  assert.deepEqual(await commit(db, { runs }), new Set(['a']));
  assert.equal(await recordCount(db.pool, 'a'), 3);
  assert.equal(await recordCount(db.pool, 'b'), 1);
  const { rows } = await db.pool.query(`SELECT FROM operation_logs WHERE device_id = 'b' AND decision <> 'Registry'`);
  assert.equal(rows.length, 1, 'a record that was not inserted is not logged as accepted');
});

test('what was judged under an older state of the device does not go in', async (t) => {
  await using db = await openLedger(t);
  const [device, neighbour] = [await db.device('a'), await db.device('b')];
  const runs = [await runOf(db, 'a', nexts(device, 2)), await runOf(db, 'b', nexts(neighbour, 2))];
  await db.registry.revoke('a');
  assert.deepEqual(await commit(db, { runs }), new Set(['b']));
  assert.equal(await recordCount(db.pool, 'a'), 0);
});

test('where Postgres has lost the predecessor, or has another one, no hole is left behind it', async (t) => {
  await using db = await openLedger(t);
  const [hole, fork] = [await db.device('hole'), await db.device('fork')];
  hole.next();
  const other = fork.next();
  const rival = fork.rival('another story');
  assert.notDeepEqual(recordHash(rival.record), recordHash(other.record));
  await commit(db, { runs: [await runOf(db, 'fork', [rival])] });
  const runs = [await runOf(db, 'hole', nexts(hole, 2)), await runOf(db, 'fork', nexts(fork, 2))];
  assert.deepEqual(await commit(db, { runs }), new Set());
  assert.equal(await recordCount(db.pool, 'hole'), 0);
  assert.equal(await recordCount(db.pool, 'fork'), 1);
});

test('evidence of equivocation is kept once, however often it is sent', async (t) => {
  await using db = await openLedger(t);
  const device = await db.device('lift-01');
  device.next();
  const { record } = device.rival('another story');
  const evidence = { encoded: encodeRecord(record), recordHash: recordHash(record) };
  const equivocation = () => rejection('lift-01', { code: 'equivocation', evidence });
  await commit(db, { rejections: [equivocation(), equivocation()] });
  await commit(db, { rejections: [equivocation()] });
  const { rows } = await db.pool.query('SELECT device_id, sequence, record_hash, record FROM equivocations');
  assert.deepEqual(rows, [
    { device_id: 'lift-01', sequence: '1', record_hash: evidence.recordHash, record: evidence.encoded },
  ]);
  const { rows: logs } = await db.pool.query(`SELECT FROM operation_logs WHERE code = 'equivocation'`);
  assert.equal(logs.length, 3);
});

/** Each round is two statements over the same devices; a deadlock would need a wrong order of only two of them. */
const rounds = 100;
const devicesPerRound = 8;

test('two replicas that commit the same devices in opposite orders never deadlock, and one of them wins each', async (t) => {
  await using db = await openLedger(t);
  const ids = Array.from({ length: devicesPerRound }, (_, index) => `device-${index}`);
  const devices = await Promise.all(ids.map((id) => db.device(id)));
  const revisions = new Map((await db.registry.list()).map(({ id, revision }) => [id, revision]));
  const run = (device: TestDevice, envelopes: readonly Envelope[]): ProposedRun => ({
    deviceId: device.id,
    revision: revisions.get(device.id) ?? 0n,
    records: envelopes.map(proposed),
  });
  for (let round = 0; round < rounds; round++) {
    const mine: ProposedRun[] = [];
    const theirs: ProposedRun[] = [];
    for (const device of devices) {
      // The same record by two ways, as from a device that did not wait for its answer.
      const record = device.next();
      mine.push(run(device, [record]));
      theirs.push(run(device, [record]));
    }
    const evidence = rejection('device-0', {
      evidence: { encoded: Buffer.from('x'), recordHash: Buffer.alloc(32, round) },
    });
    const [one, other] = await Promise.all([
      commit(db, { runs: mine, rejections: [evidence] }),
      commit(db, { runs: theirs.reverse(), rejections: [evidence] }),
    ]);
    assert.equal(one.size + other.size, devicesPerRound);
    assert.deepEqual([...one, ...other].sort(), ids);
  }
  for (const id of ids) assert.equal(await recordCount(db.pool, id), rounds);
});

test('data that Postgres cannot hold refuses the batch as such, and nothing of it is committed', async (t) => {
  await using db = await openLedger(t);
  const device = await db.device('a');
  const runs = [await runOf(db, 'a', nexts(device, 2))];
  for (const culprit of [rejection('b', { message: 'a\0b' }), rejection('b', { sequence: 2n ** 63n })]) {
    await assert.rejects(commit(db, { runs, rejections: [culprit] }), BatchRefused);
    assert.equal(await recordCount(db.pool, 'a'), 0);
  }
  const { rows } = await db.pool.query(`SELECT FROM operation_logs WHERE decision <> 'Registry'`);
  assert.equal(rows.length, 0);
  assert.deepEqual(await commit(db, { runs }), new Set(['a']));
});
