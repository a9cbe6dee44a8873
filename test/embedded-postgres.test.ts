import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { query } from '../dev/database.ts';
import { startPostgres } from '../dev/embedded-postgres.ts';
import { createTestDatabase, startOwnPostgres } from './support/postgres.ts';

test('what was committed outlives a SIGKILL of the development database, on the same address', async (t) => {
  const postgres = await startOwnPostgres(t);
  await query(postgres.url(), 'CREATE TABLE kept (n int)', 'INSERT INTO kept VALUES (7)');
  await postgres.kill();
  await assert.rejects(query(postgres.url(), 'SELECT 1'));
  await postgres.restart();
  assert.deepEqual(await query(postgres.url(), 'SELECT n FROM kept'), [{ n: 7 }]);
});

test('a second npm start finds the data of the first, with the password it had', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'eds-postgres-'));
  t.after(() => rm(directory, { recursive: true }));
  const options = { dataDirectory: join(directory, 'new', 'postgres'), durable: true, persistent: true };
  {
    await using first = await startPostgres(options);
    await query(first.url(), 'CREATE TABLE kept (n int)');
    assert.deepEqual(await query(first.url(), 'SHOW fsync'), [{ fsync: 'on' }]);
  }
  await using second = await startPostgres(options);
  assert.deepEqual(await query(second.url(), 'SELECT n FROM kept'), []);
});

test('a folder or port that another server uses is refused by name, and left alone', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'eds-postgres-'));
  t.after(() => rm(directory, { recursive: true }));
  const options = { dataDirectory: join(directory, 'a'), durable: false, persistent: true };
  await using postgres = await startPostgres(options);
  await assert.rejects(startPostgres({ ...options, dataDirectory: join(directory, 'b'), port: postgres.port }), {
    message: `port ${postgres.port} of 127.0.0.1 is taken by another program`,
  });
  // Elsewhere PostgreSQL itself refuses, in words of its own.
  if (process.platform === 'linux')
    await assert.rejects(
      startPostgres(options),
      new RegExp(`in use by the PostgreSQL server with pid ${postgres.pid}`),
    );
  assert.deepEqual(await query(postgres.url(), 'SELECT 1 AS one'), [{ one: 1 }]);
});

test('two test databases share the schema and nothing else', async (t) => {
  const [one, other] = [await createTestDatabase(t), await createTestDatabase(t)];
  await query(one.url, 'CREATE TABLE mine (n int)');
  await assert.rejects(query(other.url, 'SELECT n FROM mine'), /does not exist/);
  const schema = `SELECT count(*) > 0 AS migrated FROM pg_tables WHERE tablename = 'audit_records'`;
  assert.deepEqual(await query(other.url, schema), [{ migrated: true }]);
});
