/** The ledger's reads on a real Postgres. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type pg from 'pg';
import { PostgresLedger } from '../src/ledger/ledger.ts';
import { genesis } from '../src/record/record.ts';
import { commit, nexts, openLedger, runOf } from './support/ledger.ts';

test('heads and record hashes are read in the order asked for, with genesis and undefined for what is not there', async (t) => {
  await using db = await openLedger(t);
  const [a, b] = [await db.device('a'), await db.device('b')];
  await db.device('empty');
  const runs = [await runOf(db, 'a', nexts(a, 3)), await runOf(db, 'b', nexts(b, 1))];
  await commit(db, { runs });
  const heads = await db.ledger.readHeads(['b', 'unknown', 'a', 'empty', 'b']);
  assert.deepEqual(heads, [b.head, genesis, a.head, genesis, b.head]);
  const hashes = await db.ledger.readRecordHashes([
    { deviceId: 'a', sequence: 3n },
    { deviceId: 'a', sequence: 4n },
    { deviceId: 'unknown', sequence: 2n ** 63n - 1n },
    { deviceId: 'b', sequence: 1n },
  ]);
  assert.deepEqual(hashes, [a.head.recordHash, undefined, undefined, b.head.recordHash]);
  assert.deepEqual(await db.ledger.readHeads([]), []);
});

type Plan = { 'Relation Name'?: string; 'Actual Loops'?: number; 'Actual Rows'?: number; Plans?: Plan[] };
const nodes = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodes)];

test('a head is one row of one partition, however long the chain is', async (t) => {
  await using db = await openLedger(t);
  await db.pool.query(
    `INSERT INTO audit_records
     SELECT 'lift-' || d, s, 0, h, h || h, h, 'x', h, 'x', NULL, 0
     FROM generate_series(1, 20) d, generate_series(1, 1000) s, decode(repeat('00', 32), 'hex') h`,
  );
  await db.pool.query('ANALYZE audit_records');
  // The statement as the ledger sends it.
  const sent: { text: string }[] = [];
  const spy = { query: (query: { text: string }) => sent.push(query) && Promise.resolve({ rows: [] }) };
  await new PostgresLedger(spy as unknown as pg.Pool).readHeads(['lift-7']);
  const { rows } = await db.pool.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${sent[0]?.text}`, [['lift-7']]);
  const scans = nodes(rows[0]['QUERY PLAN'][0].Plan).filter((node) => node['Relation Name'] !== undefined);
  const read = scans.filter((node) => (node['Actual Loops'] ?? 0) > 0);
  assert.deepEqual([scans.length, read.length, read[0]?.['Actual Rows']], [16, 1, 1]);
});
