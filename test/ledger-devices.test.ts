/** How a pod hears of changes to the registry, on a real Postgres. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { query } from '../dev/database.ts';
import { systemClock } from '../src/commands/system-clock.ts';
import { type Clock, Unavailable } from '../src/ingest/ports.ts';
import { PostgresDeviceDirectory } from '../src/ledger/device-directory.ts';
import { DeviceRegistry } from '../src/ledger/device-registry.ts';
import { connectionOptions } from '../src/ledger/pool.ts';
import { type Device, keyCountsAt } from '../src/record/device.ts';
import { generateSigningKey } from '../src/record/signing-key.ts';
import { openTestPool } from './support/ledger.ts';
import { createTestDatabase } from './support/postgres.ts';

/** What the issue promises from the commit of a change to every pod. */
const promisedMs = 1_000;

const newKey = () => ({ scheme: 'payload-v1' as const, publicKey: generateSigningKey().publicKey });

/** The registry as one replica remembers it. */
function openReplica(url: string, listener: string, clock: Pick<Clock, 'now' | 'defer'> = systemClock) {
  const pool = openTestPool(url);
  const errors: unknown[] = [];
  const directory = new PostgresDeviceDirectory({
    pool,
    listenerConfig: connectionOptions({ databaseUrl: url, applicationName: listener }),
    clock,
    onError: (error) => errors.push(error),
  });
  return {
    pool,
    directory,
    errors,
    async [Symbol.asyncDispose](): Promise<void> {
      await directory[Symbol.asyncDispose]();
      await pool.end();
    },
  };
}

async function openDirectory(t: TestContext, clock?: Pick<Clock, 'now' | 'defer'>) {
  const { url } = await createTestDatabase(t);
  const replica = openReplica(url, 'listener', clock);
  // As another process: its changes go through no memory of ours.
  const elsewhere = openTestPool(url);
  return {
    ...replica,
    url,
    registry: new DeviceRegistry(elsewhere),
    async [Symbol.asyncDispose](): Promise<void> {
      await replica[Symbol.asyncDispose]();
      await elsewhere.end();
    },
  };
}

type OpenDirectory = Awaited<ReturnType<typeof openDirectory>>;

/** Asks the directory until it says so. @returns how long that took, in milliseconds */
async function untilFound(
  { directory }: Pick<OpenDirectory, 'directory'>,
  id: string,
  holds: (device: Device | undefined) => boolean,
): Promise<number> {
  const startMs = performance.now();
  while (!holds(await directory.find(id))) {
    if (performance.now() - startMs > 10 * promisedMs) throw new Error(`${id}: the directory never noticed`);
    await setImmediate();
  }
  return performance.now() - startMs;
}

const isKnown = (device: Device | undefined) => device !== undefined;
const isRevoked = (device: Device | undefined) =>
  device !== undefined && !device.keys.some((key) => keyCountsAt(key, Date.now()));

/** The pid of the backend that the directory listens on. */
async function listenerPid({ url }: Pick<OpenDirectory, 'url'>, listener = 'listener'): Promise<number> {
  for (;;) {
    const [found] = await query(
      url,
      `SELECT pid FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = '${listener}' AND query LIKE 'LISTEN%' AND state = 'idle'`,
    );
    if (found !== undefined) return Number(found.pid);
  }
}

async function assertHeard(db: OpenDirectory, id: string): Promise<void> {
  assert.equal(await db.directory.find(id), undefined);
  await db.registry.register(id, newKey());
  const registeredMs = await untilFound(db, id, isKnown);
  await db.registry.revoke(id);
  const revokedMs = await untilFound(db, id, isRevoked);
  await db.registry.setEnabled(id, false);
  const suspendedMs = await untilFound(db, id, (device) => device?.enabled === false);
  for (const [change, ms] of Object.entries({ registeredMs, revokedMs, suspendedMs }))
    assert.ok(ms < promisedMs, `${change}: ${ms}`);
}

test('a registration, a revocation and a suspension reach every pod within a second', async (t) => {
  await using db = await openDirectory(t);
  await listenerPid(db);
  await assertHeard(db, 'lift-01');
  assert.deepEqual(db.errors, []);
});

test('they do so where the listening connection has just been killed, and it comes back', async (t) => {
  await using db = await openDirectory(t);
  const killed = await listenerPid(db);
  assert.equal(await db.directory.find('lift-01'), undefined);
  await query(db.url, `SELECT pg_terminate_backend(${killed})`);
  await assertHeard(db, 'lift-01');
  assert.notEqual(await listenerPid(db), killed);
});

/** What is changed from now on nobody is told of. */
async function silence(url: string): Promise<void> {
  await query(
    url,
    `CREATE OR REPLACE FUNCTION device_changed() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
       NEW.revision := nextval('device_revision');
       NEW.updated_at := clock_timestamp();
       RETURN NEW;
     END $$`,
  );
}

test('they do so where no notification arrives at all', async (t) => {
  await using db = await openDirectory(t);
  await silence(db.url);
  await listenerPid(db);
  await assertHeard(db, 'lift-01');
});

test('a revocation is obeyed by every replica within a second, by one that has just lost its listener as well', async (t) => {
  await using db = await openDirectory(t);
  await using other = openReplica(db.url, 'other listener');
  const key = newKey();
  await db.registry.register('lift-01', key);
  await db.registry.addGateway('lift-01', 'gateway-7');
  const replicas = [db, other];
  for (const replica of replicas) assert.deepEqual((await replica.directory.find('lift-01'))?.gateways, ['gateway-7']);
  const pids = [await listenerPid(db), await listenerPid(db, 'other listener')];
  const hear = async (holds: (device: Device | undefined) => boolean) => {
    const heardMs = await Promise.all(replicas.map((replica) => untilFound(replica, 'lift-01', holds)));
    for (const ms of heardMs) assert.ok(ms < promisedMs, `heard after ${ms} ms`);
  };
  await query(db.url, `SELECT pg_terminate_backend(${pids[1]})`);
  await db.registry.removeGateway('lift-01', 'gateway-7');
  await hear((device) => device?.gateways.length === 0);
  await query(db.url, `SELECT pg_terminate_backend(${await listenerPid(db, 'other listener')})`);
  await db.registry.revoke('lift-01', key.publicKey);
  await hear(isRevoked);
});

test('a registry that is away is an outage that is reported, and holds up neither the caller nor the shutdown', async () => {
  const databaseUrl = 'postgres://nobody@127.0.0.1:1/none';
  const pool = openTestPool(databaseUrl);
  const reported = Promise.withResolvers<unknown>();
  const directory = new PostgresDeviceDirectory({
    pool,
    listenerConfig: connectionOptions({ databaseUrl, applicationName: 'listener' }),
    clock: systemClock,
    onError: reported.resolve,
  });
  await assert.rejects(async () => directory.find('lift-01'), Unavailable);
  assert.ok((await reported.promise) instanceof Unavailable);
  await directory[Symbol.asyncDispose]();
  await pool.end();
});

test('a key that is changed by hand, in SQL, is heard of just the same', async (t) => {
  await using db = await openDirectory(t);
  await listenerPid(db);
  await db.registry.register('lift-01', newKey());
  await untilFound(db, 'lift-01', isKnown);
  await query(db.url, `UPDATE device_keys SET revoked_at = now() WHERE device_id = 'lift-01'`);
  assert.ok((await untilFound(db, 'lift-01', isRevoked)) < promisedMs);
});

test('lookups that come together are one query, and each gets its own answer', async (t) => {
  await using db = await openDirectory(t);
  await db.registry.register('a', newKey());
  await db.registry.register('b', newKey());
  const found = await Promise.all(['b', 'nobody', 'a'].map((id) => db.directory.find(id)));
  assert.deepEqual(
    found.map((device) => device?.id),
    ['b', undefined, 'a'],
  );
});

/** How many times the directory has asked for devices. */
const lookups = (calls: readonly { arguments: readonly unknown[] }[]) =>
  calls.filter(({ arguments: [asked] }) => (asked as { name?: string }).name === 'devices').length;

test('a flood of refusals costs one read of each device in a tenth of a second', async (t) => {
  let nowMs = 1_000_000;
  await using db = await openDirectory(t, { now: () => nowMs, defer: systemClock.defer });
  const { mock } = t.mock.method(db.pool, 'query');
  const ids = ['nobody', 'no one'];
  const flood = () => Promise.all(Array.from({ length: 2_000 }, (_, n) => db.directory.confirm(ids[n % 2] ?? '')));
  assert.deepEqual(new Set(await flood()), new Set([undefined]));
  for (let times = 0; times < 3; times++) await flood();
  assert.equal(lookups(mock.calls), 1, 'both ids in one query');
  nowMs += 99;
  await flood();
  assert.equal(lookups(mock.calls), 1);
  nowMs += 1;
  await flood();
  assert.equal(lookups(mock.calls), 2);
  // A clock that is set back must not make a memory last.
  nowMs -= 3_600_000;
  await flood();
  assert.equal(lookups(mock.calls), 3);
});

test('a device that was unknown a moment ago is found before it is refused, though nobody was told of it', async (t) => {
  let nowMs = 1_000_000;
  await using db = await openDirectory(t, { now: () => nowMs, defer: systemClock.defer });
  await silence(db.url);
  assert.equal(await db.directory.find('lift-01'), undefined);
  await db.registry.register('lift-01', newKey());
  nowMs += 100;
  assert.equal((await db.directory.confirm('lift-01'))?.id, 'lift-01');
  assert.equal((await db.directory.find('lift-01'))?.id, 'lift-01');
});

test('an answer from before a change is not remembered, when the change was heard of first', async (t) => {
  await using db = await openDirectory(t);
  await silence(db.url);
  const asked = Promise.withResolvers<void>();
  const changed = Promise.withResolvers<void>();
  const ask = db.pool.query.bind(db.pool) as (question: unknown) => Promise<unknown>;
  t.mock.method(db.pool, 'query', async (question: unknown) => {
    const answer = await ask(question);
    if (lookups([{ arguments: [question] }]) === 1) asked.resolve();
    await changed.promise;
    return answer;
  });
  const before = Promise.resolve(db.directory.find('lift-01'));
  await asked.promise;
  await db.registry.register('lift-01', newKey());
  db.directory.forget('lift-01');
  changed.resolve();
  assert.equal(await before, undefined);
  assert.equal((await db.directory.find('lift-01'))?.id, 'lift-01');
});

test('a read that failed is not remembered', async (t) => {
  await using db = await openDirectory(t);
  await db.registry.register('lift-01', newKey());
  const { mock } = t.mock.method(db.pool, 'query');
  mock.mockImplementationOnce(async () => {
    throw new Error('gone');
  });
  const [first, second] = await Promise.allSettled([db.directory.confirm('lift-01'), db.directory.find('lift-01')]);
  for (const asked of [first, second]) assert.ok(asked.status === 'rejected' && asked.reason instanceof Unavailable);
  assert.equal((await db.directory.find('lift-01'))?.id, 'lift-01');
});
