/** How a pod hears of changes to the registry, on a real Postgres. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { query } from '../dev/database.ts';
import { systemClock } from '../src/commands/system-clock.ts';
import { Unavailable } from '../src/ingest/ports.ts';
import { PostgresDeviceDirectory } from '../src/ledger/device-directory.ts';
import { DeviceRegistry, RegistryError } from '../src/ledger/device-registry.ts';
import { connectionOptions } from '../src/ledger/pool.ts';
import { type Device, keyCountsAt } from '../src/record/device.ts';
import { generateSigningKey } from '../src/record/signing-key.ts';
import { openTestPool } from './support/ledger.ts';
import { createTestDatabase } from './support/postgres.ts';

/** What the issue promises from the commit of a change to every pod. */
const promisedMs = 1_000;

const newKey = () => ({ scheme: 'payload-v1' as const, publicKey: generateSigningKey().publicKey });

async function openDirectory(t: TestContext) {
  const { url } = await createTestDatabase(t);
  const pool = openTestPool(url);
  const errors: unknown[] = [];
  const directory = new PostgresDeviceDirectory({
    pool,
    listenerConfig: connectionOptions({ databaseUrl: url, applicationName: 'listener' }),
    clock: systemClock,
    onError: (error) => errors.push(error),
  });
  // As another process: its changes go through no memory of ours.
  const elsewhere = openTestPool(url);
  return {
    url,
    directory,
    errors,
    registry: new DeviceRegistry(elsewhere),
    elsewhere,
    async [Symbol.asyncDispose](): Promise<void> {
      await directory[Symbol.asyncDispose]();
      await pool.end();
      await elsewhere.end();
    },
  };
}

type OpenDirectory = Awaited<ReturnType<typeof openDirectory>>;

/** Asks the directory until it says so. @returns how long that took, in milliseconds */
async function untilFound(
  { directory }: OpenDirectory,
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
async function listenerPid({ url }: OpenDirectory): Promise<number> {
  for (;;) {
    const [listener] = await query(
      url,
      `SELECT pid FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'listener' AND query LIKE 'LISTEN%' AND state = 'idle'`,
    );
    if (listener !== undefined) return Number(listener.pid);
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

test('they do so where no notification arrives at all', async (t) => {
  await using db = await openDirectory(t);
  await query(
    db.url,
    `CREATE OR REPLACE FUNCTION device_changed() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
       NEW.revision := nextval('device_revision');
       NEW.updated_at := clock_timestamp();
       RETURN NEW;
     END $$`,
  );
  await listenerPid(db);
  await assertHeard(db, 'lift-01');
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

test('every change of a device or of its keys moves its revision, and no other does', async (t) => {
  await using db = await openDirectory(t);
  const revision = async (id: string) => (await db.registry.find(id))?.revision ?? -1n;
  await db.registry.register('other', newKey());
  const otherRevision = await revision('other');
  const [first, second] = [newKey(), newKey()];
  let last = -1n;
  for (const change of [
    () => db.registry.register('lift-01', first),
    () => db.registry.rotate('lift-01', second, 60_000),
    () => db.registry.revoke('lift-01', first.publicKey),
    () => db.registry.setEnabled('lift-01', false),
  ]) {
    await change();
    const now = await revision('lift-01');
    assert.ok(now > last);
    last = now;
  }
  await db.registry.register('lift-01', second);
  assert.equal(await revision('lift-01'), last, 'the same registration again changes nothing');
  assert.equal(await revision('other'), otherRevision);
});

test('after a rotation both keys count for the overlap, and then the new one alone', async (t) => {
  await using db = await openDirectory(t);
  const [before, after] = [newKey(), newKey()];
  await db.registry.register('lift-01', before);
  await db.registry.rotate('lift-01', after, 3_600_000);
  const keys = (await db.registry.find('lift-01'))?.keys ?? [];
  const counting = (atMs: number) =>
    keys.filter((key) => keyCountsAt(key, atMs)).map(({ publicKey }) => publicKey.toString('hex'));
  const [old, fresh] = [before.publicKey.toString('hex'), after.publicKey.toString('hex')];
  assert.deepEqual(counting(Date.now() + 1_000_000), [old, fresh]);
  assert.deepEqual(counting(Date.now() + 3_700_000), [fresh]);
});

test('what must not be registered is refused, naming the device and the way out', async (t) => {
  await using db = await openDirectory(t);
  const key = newKey();
  await db.registry.register('lift-01', key);
  await db.registry.revoke('lift-01');
  const smallOrder = { scheme: 'payload-v1' as const, publicKey: Buffer.alloc(32) };
  for (const [refused, message] of [
    [() => db.registry.register('lift-01', key), /public key of device lift-01 was revoked: register a new one/],
    [() => db.registry.register('lift-02', smallOrder), /public key for device lift-02: .*small order/],
    [() => db.registry.register('records', newKey()), /device records: 'records' is reserved/],
    [() => db.registry.register('a\tb', newKey()), /device a\tb: must not contain control characters/],
    [() => db.registry.register('a'.repeat(300), newKey()), /has 300 bytes, at most 255 are allowed/],
    [() => db.registry.register('lift-02', newKey(), 's'.repeat(256)), /site of device lift-02: has 256 bytes/],
    [
      () => db.registry.register('lift-02', { ...newKey(), validUntil: new Date(Date.now() - 1) }),
      /public key for device lift-02 would end before it begins/,
    ],
    [() => db.registry.register('a/../b', newKey()), /device a\/\.\.\/b: .*'\.\.'/],
    [() => db.registry.rotate('nobody', newKey(), 0), /device nobody is not registered/],
    [() => db.registry.revoke('lift-01'), /no such key that is not revoked already/],
    [() => db.registry.setEnabled('nobody', true), /device nobody is not registered/],
  ] as const)
    await assert.rejects(refused, (error) => {
      assert.ok(error instanceof RegistryError);
      assert.match(error.message, message);
      return true;
    });
  assert.deepEqual(
    (await db.registry.list()).map(({ id }) => id),
    ['lift-01'],
  );
});

test('a device has at most eight keys at once, so that a bad signature costs at most eight checks', async (t) => {
  await using db = await openDirectory(t);
  for (let count = 0; count < 8; count++) await db.registry.register('lift-01', newKey());
  await assert.rejects(db.registry.register('lift-01', newKey()), /more than 8 current keys: revoke one first/);
  assert.equal((await db.registry.find('lift-01'))?.keys.length, 8);
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
