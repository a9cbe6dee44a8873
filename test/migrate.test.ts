/** `eds migrate` and the readiness check of the ledger. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type pg from 'pg';
import { query } from '../dev/database.ts';
import { Unavailable } from '../src/ingest/ports.ts';
import { MigrationError, migrate, schemaVersionNeeded } from '../src/ledger/migrate.ts';
import { checkLedger } from '../src/ledger/upkeep.ts';
import { openTestPool } from './support/ledger.ts';
import { createTestDatabase } from './support/postgres.ts';

const mainFile = join(import.meta.dirname, '../src/main.ts');

async function runMigrate(databaseUrl: string, flags: readonly string[] = []) {
  const child = spawn(process.execPath, [mainFile, 'migrate', ...flags], {
    env: { PATH: process.env.PATH ?? '', DATABASE_URL: databaseUrl },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const texts = Promise.all([child.stdout.toArray(), child.stderr.toArray()]);
  const [code] = await once(child, 'exit');
  const [stdout = '', stderr = ''] = (await texts).map((chunks) => Buffer.concat(chunks).toString());
  return { code, stdout, stderr };
}

/** A database without anything in it. */
async function createEmptyDatabase(t: TestContext): Promise<string> {
  const { url } = await createTestDatabase(t);
  await query(url, 'DROP SCHEMA public CASCADE', 'CREATE SCHEMA public');
  return url;
}

/** Everything of ours in the catalogue, by name and definition. */
function schemaOf(url: string) {
  return query(
    url,
    `SELECT 'table' AS kind, relname::text AS name, relkind::text AS definition FROM pg_class WHERE relnamespace = 'public'::regnamespace
     UNION ALL SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
     UNION ALL SELECT 'trigger', tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
     UNION ALL SELECT 'function', proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace
     UNION ALL SELECT 'applied', name, checksum || applied_at FROM schema_migrations
     ORDER BY 1, 2, 3`,
  );
}

async function withPool<T>(url: string, use: (pool: pg.Pool) => Promise<T>): Promise<T> {
  const pool = openTestPool(url);
  try {
    return await use(pool);
  } finally {
    await pool.end();
  }
}

test('two processes that migrate an empty database at once both succeed, and each migration runs once', async (t) => {
  const url = await createEmptyDatabase(t);
  const results = await Promise.all([runMigrate(url), runMigrate(url)]);
  for (const { code, stderr } of results) assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  const applied = results.flatMap(({ stdout }) => stdout.match(/^applied .+$/gm) ?? []);
  assert.equal(new Set(applied).size, await schemaVersionNeeded());
  assert.equal(applied.length, await schemaVersionNeeded());
  await withPool(url, checkLedger);
});

test('migrating again changes nothing', async (t) => {
  const { url } = await createTestDatabase(t);
  const before = await schemaOf(url);
  const lines: string[] = [];
  assert.equal(await migrate({ databaseUrl: url, log: (line) => lines.push(line) }), await schemaVersionNeeded());
  assert.deepEqual(lines, []);
  assert.deepEqual(await schemaOf(url), before);
});

test('a schema from the future is refused by name and left as it is', async (t) => {
  const { url } = await createTestDatabase(t);
  await query(url, `INSERT INTO schema_migrations VALUES (9999, '9999_later.sql', 'x')`);
  const before = await schemaOf(url);
  await assert.rejects(migrate({ databaseUrl: url }), (error) => {
    assert.ok(error instanceof MigrationError);
    assert.match(error.message, /newer than this program: it has migration 9999_later\.sql; run a newer eds/);
    return true;
  });
  assert.deepEqual(await schemaOf(url), before);
  const { code, stderr } = await runMigrate(url);
  assert.equal(code, 1);
  assert.match(stderr, /^eds migrate: the schema is newer than this program.*\n$/);
});

test('after a rollback the older version may find a schema that is newer, and leaves it as it is', async (t) => {
  const { url } = await createTestDatabase(t);
  await query(url, `INSERT INTO schema_migrations VALUES (9999, '9999_later.sql', 'x')`);
  const before = await schemaOf(url);
  const { code, stdout } = await runMigrate(url, ['--allow-newer']);
  assert.equal(code, 0);
  assert.match(stdout, /^schema version 9999$/m);
  assert.deepEqual(await schemaOf(url), before);
});

test('a migration that was edited after it was applied is refused by name', async (t) => {
  const { url } = await createTestDatabase(t);
  await query(url, `UPDATE schema_migrations SET checksum = 'x' WHERE version = 1`);
  await assert.rejects(migrate({ databaseUrl: url }), /migration 0001_ledger\.sql was edited after it was applied/);
});

test('a migration that fails leaves the schema as it was before it', async (t) => {
  const url = await createEmptyDatabase(t);
  // In the way of a table that the migration makes last of all.
  await query(url, 'CREATE TABLE operation_logs_default (n int)');
  await assert.rejects(
    migrate({ databaseUrl: url }),
    /migration 0001_ledger\.sql failed and was rolled back: .*already exists/,
  );
  const tables = await query(url, `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`);
  assert.deepEqual(tables, [{ name: 'operation_logs_default' }, { name: 'schema_migrations' }]);
  await query(url, 'DROP TABLE operation_logs_default');
  await migrate({ databaseUrl: url });
});

test('a service role that does not exist is refused by name', async (t) => {
  const { url } = await createTestDatabase(t);
  await assert.rejects(migrate({ databaseUrl: url, serviceRole: 'no_such_role' }), /role no_such_role does not exist/);
});

const broken: readonly (readonly [what: string, statement: string, message: RegExp])[] = [
  ['no schema', 'DROP SCHEMA public CASCADE; CREATE SCHEMA public', /the schema is missing: run 'eds migrate'/],
  ['an old schema', 'DELETE FROM schema_migrations', /too old: version 0, needed \d+: run 'eds migrate'/],
  ['no fence', 'ALTER TABLE audit_records DROP CONSTRAINT audit_records_fence', /replay fence is missing/],
  ['a fence on another table', `ALTER TABLE audit_records RENAME TO elsewhere`, /replay fence is missing/],
];

for (const [what, statement, message] of broken) {
  test(`a replica over ${what} is not ready, and says what is wrong`, async (t) => {
    const { url } = await createTestDatabase(t);
    await withPool(url, async (pool) => {
      await checkLedger(pool);
      await pool.query(statement);
      await assert.rejects(checkLedger(pool), (error) => {
        assert.ok(error instanceof Unavailable);
        assert.match(error.message, message);
        return true;
      });
    });
  });
}

test('a replica whose Postgres is away is not ready, and says so', async () => {
  await withPool('postgres://nobody@127.0.0.1:1/none', (pool) =>
    assert.rejects(checkLedger(pool), /the ledger does not answer: .*ECONNREFUSED/),
  );
});
