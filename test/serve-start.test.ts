/** `eds serve` that cannot begin: what it says, and that it does not linger. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import test from 'node:test';
import { promisify } from 'node:util';
import { query } from '../dev/database.ts';
import { eds } from './support/command-line.ts';
import { createTestDatabase } from './support/postgres.ts';
import { vectorKey } from './vectors/records.ts';

const main = join(import.meta.dirname, '../src/main.ts');
const publicHex = vectorKey.publicKey.toString('hex');
const nobody = 'postgres://nobody@127.0.0.1:1/none';
/** It starts within a second here; a loaded machine may need many times that. */
const startDeadlineMs = 30_000;
const ports = ['--addr=127.0.0.1:0', '--ops-addr=127.0.0.1:0'];

test('an id that no record can have is a wrong command line, not a service that never comes up', async () => {
  for (const [id, says] of [
    ['a'.repeat(300), /--device "a+": a device id has 300 bytes, at most 255 are allowed/],
    ['a\tb', /--device "a\\tb": a device id must not contain control characters/],
    ['a\nb', /--device "a\\nb": a device id must not contain control characters/],
    ['segments', /--device "segments": 'segments' is reserved/],
  ] as const) {
    const args = ['serve', ...ports, '--store-dir=unused', `--database-url=${nobody}`, `--device=${id}=${publicHex}`];
    const { exitCode, stderr } = await eds(args);
    assert.equal(exitCode, 2, stderr);
    assert.match(stderr, says);
  }
});

test('what Postgres refuses for good ends the service at once; only an outage is waited for', async (t) => {
  const { url } = await createTestDatabase(t);
  await query(url, `ALTER TABLE devices ADD CONSTRAINT no_lifts CHECK (id NOT LIKE 'lift-%')`);
  const directory = await mkdtemp(join(tmpdir(), 'eds-serve-start-'));
  t.after(() => rm(directory, { recursive: true }));
  const flags = [...ports, `--store-dir=${directory}`, `--device=lift-01=${publicHex}`, '--log-level=silent'];
  const options = { env: { DATABASE_URL: url }, timeout: startDeadlineMs };
  const refused = { code: 1, stdout: '', stderr: /^eds serve: --device: .*no_lifts/ };
  await assert.rejects(promisify(execFile)(process.execPath, [main, 'serve', ...flags], options), refused);
});

test('told to stop while it waits for Postgres, it goes without ever opening its ingest port', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'eds-serve-start-'));
  t.after(() => rm(directory, { recursive: true }));
  const flags = [...ports, `--store-dir=${directory}`, `--device=lift-01=${publicHex}`];
  const child = spawn(process.execPath, [main, 'serve', ...flags], {
    env: { PATH: process.env.PATH ?? '', DATABASE_URL: nobody },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  const messages: unknown[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const { message } = JSON.parse(line) as { message: string };
    messages.push(message);
    if (message === 'device not registered yet') child.kill('SIGTERM');
  }
  assert.deepEqual(await exited, [0, null]);
  assert.ok(messages.includes('stopped'), messages.join());
  assert.ok(!messages.includes('listening'), messages.join());
});
