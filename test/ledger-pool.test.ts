import assert from 'node:assert/strict';
import test from 'node:test';
import { query } from '../dev/database.ts';
import { openPool } from '../src/ledger/pool.ts';
import { createTestDatabase } from './support/postgres.ts';

test('a connection that is lost between two queries of its holder fails the next one, and does not end the process', async (t) => {
  const { url } = await createTestDatabase(t);
  const pool = openPool({ databaseUrl: url, connectionsMax: 1, applicationName: 'pool test' }, () => {});
  try {
    const client = await pool.connect();
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const ended = new Promise<void>((resolve) => client.once('end', resolve));
    await query(url, `SELECT pg_terminate_backend(${rows[0]?.pid})`);
    await ended;
    await assert.rejects(client.query('SELECT 1'), /not queryable/);
    client.release(true);
    assert.equal((await pool.query('SELECT 1')).rowCount, 1, 'the pool has put another in its place');
  } finally {
    await pool.end();
  }
});
