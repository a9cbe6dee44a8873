/** Runs once around all test files (node --test-global-setup): one PostgreSQL server, one migrated template database. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { query, withDatabase } from '../../dev/database.ts';
import { startPostgres } from '../../dev/embedded-postgres.ts';
import { migrate } from '../../src/ledger/migrate.ts';
import { serverVariable, templateVariable, testDatabasePrefix } from './postgres.ts';

const teardown = new AsyncDisposableStack();

export async function globalSetup(): Promise<void> {
  const server = process.env[serverVariable] ?? (await startServer());
  const template = `eds_template_${process.pid}`;
  await query(server, `CREATE DATABASE ${template}`);
  teardown.defer(async () => {
    await query(server, `DROP DATABASE ${template} WITH (FORCE)`);
  });
  await migrate({ databaseUrl: withDatabase(server, template) });
  // The runner's environment is what it starts the test files with.
  process.env[serverVariable] = server;
  process.env[templateVariable] = template;
}

export async function globalTeardown(): Promise<void> {
  await teardown.disposeAsync();
}

/** Its folder is kept when a failed test has left its database in it. */
async function startServer(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'eds-test-postgres-'));
  const postgres = await startPostgres({ dataDirectory: directory, durable: false, persistent: true });
  teardown.defer(async () => {
    const kept = await query(
      postgres.url(),
      `SELECT FROM pg_database WHERE starts_with(datname, '${testDatabasePrefix}')`,
    );
    await postgres.stop();
    if (kept.length === 0) await rm(directory, { recursive: true });
    else console.log(`The databases of failed tests are kept: node dev/postgres.ts ${directory}`);
  });
  return postgres.url();
}
