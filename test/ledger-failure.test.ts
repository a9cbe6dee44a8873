/** What a commit is told when Postgres fails in the middle of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { BatchRefused, OutcomeUnknown, Unavailable } from '../src/ingest/ports.ts';
import { PostgresLedger } from '../src/ledger/ledger.ts';
import { commit, type OpenLedger, openLedger, openTestPool, runOf } from './support/ledger.ts';
import { recordCount } from './support/service.ts';

/** A commit that waits, since another transaction holds its place in the chain. */
async function blockedCommit(db: OpenLedger) {
  const device = await db.device('lift-01');
  const run = await runOf(db, 'lift-01', [device.next()]);
  const holder = new pg.Client({ connectionString: db.url });
  await holder.connect();
  await holder.query('BEGIN');
  await holder.query(
    `INSERT INTO audit_records VALUES ('lift-01', 1, 0, $1, $2, $1, 'lift-01/x', $1, 'lift-01/x', NULL, 0)`,
    [Buffer.alloc(32), Buffer.alloc(64)],
  );
  const pending = commit(db, { runs: [run] });
  // Handled where it is awaited.
  pending.catch(() => {});
  return {
    run,
    pending,
    /** The backend of the commit, once it waits. */
    async backend(): Promise<number> {
      for (;;) {
        const { rows } = await holder.query<{ pid: number }>(
          `SELECT pid FROM pg_stat_activity
           WHERE datname = current_database() AND wait_event_type = 'Lock' AND pg_backend_pid() = ANY (pg_blocking_pids(pid))`,
        );
        if (rows[0] !== undefined) return rows[0].pid;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
    holder,
    [Symbol.asyncDispose]: () => holder.end(),
  };
}

test('a connection that is lost during the commit leaves the outcome unknown, and says so', {
  timeout: 30_000,
}, async (t) => {
  await using db = await openLedger(t);
  await using blocked = await blockedCommit(db);
  await blocked.holder.query('SELECT pg_terminate_backend($1)', [await blocked.backend()]);
  await assert.rejects(blocked.pending, OutcomeUnknown);
  await blocked.holder.query('ROLLBACK');
  assert.deepEqual(await commit(db, { runs: [blocked.run] }), new Set(['lift-01']));
});

test('a commit that Postgres itself cut off after its time has changed nothing', { timeout: 30_000 }, async (t) => {
  await using db = await openLedger(t, { statement_timeout: 200 });
  await using blocked = await blockedCommit(db);
  await assert.rejects(blocked.pending, (error) => {
    assert.ok(error instanceof Unavailable && !(error instanceof OutcomeUnknown) && !(error instanceof BatchRefused));
    return true;
  });
  await blocked.holder.query('ROLLBACK');
  assert.equal(await recordCount(db.pool, 'lift-01'), 0);
});

test('a Postgres that stopped answering leaves the outcome unknown: it may commit yet', {
  timeout: 30_000,
}, async (t) => {
  await using db = await openLedger(t, { query_timeout: 200 });
  await using blocked = await blockedCommit(db);
  await assert.rejects(blocked.pending, OutcomeUnknown);
});

test('no connection to Postgres is an outage in which nothing was committed', async () => {
  const pool = openTestPool('postgres://nobody@127.0.0.1:1/none');
  const ledger = new PostgresLedger(pool);
  const outage = (error: unknown) => error instanceof Unavailable && !(error instanceof OutcomeUnknown);
  await assert.rejects(ledger.commit({ runs: [], rejections: [] }), outage);
  await assert.rejects(ledger.readHeads(['a']), outage);
  await assert.rejects(ledger.readRecordHashes([{ deviceId: 'a', sequence: 1n }]), outage);
  await pool.end();
});
