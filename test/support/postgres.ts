import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { query, withDatabase } from '../../dev/database.ts';
import { type EmbeddedPostgres, startPostgres } from '../../dev/embedded-postgres.ts';

/** Where the tests' server is, as superuser; set by the global setup unless the caller of the tests brings one. */
export const serverVariable = 'EDS_TEST_DATABASE_URL';
/** The name of the migrated database that every test database is copied from; set by the global setup. */
export const templateVariable = 'EDS_TEST_TEMPLATE';
export const testDatabasePrefix = 'eds_test_';

export type TestDatabase = { readonly name: string; readonly url: string };

let databases = 0;

/**
 * A migrated database of the test's own, as superuser. Dropped after the test, or kept and named when the test itself
 * failed (a failing subtest shows too late). Close pools before the test ends, or they are closed from the server's side.
 */
export async function createTestDatabase(t: TestContext): Promise<TestDatabase> {
  const server = setupValue(serverVariable);
  const name = `${testDatabasePrefix}${process.pid}_${++databases}`;
  await query(server, `CREATE DATABASE ${name} TEMPLATE ${setupValue(templateVariable)}`);
  const url = withDatabase(server, name);
  t.after(async () => {
    if (hasPassed(t)) await query(server, `DROP DATABASE ${name} WITH (FORCE)`);
    else t.diagnostic(`the database of this failed test is kept: ${name}`);
  });
  return { name, url };
}

/**
 * A server of the test's own, empty, to be stopped, killed and restarted. Commits outlive kill(); `durable: false` is
 * about power cuts alone.
 */
export async function startOwnPostgres(t: TestContext): Promise<EmbeddedPostgres> {
  const directory = await mkdtemp(join(tmpdir(), 'eds-own-postgres-'));
  const postgres = await startPostgres({
    dataDirectory: join(directory, 'postgres'),
    durable: false,
    persistent: false,
  });
  t.after(async () => {
    await postgres.stop();
    await rm(directory, { recursive: true, force: true });
  });
  return postgres;
}

/** `passed` is in Node's documentation of TestContext, and missing from its types. */
function hasPassed(t: TestContext): boolean {
  return (t as TestContext & { readonly passed: boolean }).passed;
}

function setupValue(name: string): string {
  const value = process.env[name];
  if (value === undefined)
    throw new Error(
      `${name} is not set: run the tests by npm test, or node --test --test-global-setup=test/support/global-setup.ts FILE`,
    );
  return value;
}
