/** What the database itself refuses: of everyone, and of the role that the service runs as. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { query } from '../dev/database.ts';
import { DeviceRegistry } from '../src/ledger/device-registry.ts';
import { migrate } from '../src/ledger/migrate.ts';
import { ensureLogPartitions } from '../src/ledger/upkeep.ts';
import { openTestPool } from './support/ledger.ts';
import { createTestDatabase } from './support/postgres.ts';
import { ServeProcess } from './support/serve-process.ts';
import { recordCount, TestDevice } from './support/service.ts';

const oneOfEach = `
  INSERT INTO audit_records SELECT 'lift-01', 1, 0, h, h || h, h, 'x', h, 'x', NULL, 0 FROM decode(repeat('00', 32), 'hex') h;
  INSERT INTO operation_logs (id, decision, device_id, sequence, message)
    VALUES (gen_random_uuid(), 'Accepted', 'lift-01', 1, 'x');
  INSERT INTO equivocations (device_id, sequence, record_hash, record)
    VALUES ('lift-01', 1, decode(repeat('00', 32), 'hex'), '')`;

const tables = ['audit_records', 'operation_logs', 'equivocations'];

test('nobody changes or removes a record, a log entry or evidence: not even the owner, nor by a partition', async (t) => {
  const { url } = await createTestDatabase(t);
  await query(url, oneOfEach);
  const partitions = await query(
    url,
    `SELECT tableoid::regclass::text AS name FROM audit_records
     UNION ALL SELECT tableoid::regclass::text FROM operation_logs`,
  );
  assert.equal(partitions.length, 2);
  for (const name of [...tables, ...partitions.map((row) => String(row.name))]) {
    for (const change of [
      `UPDATE ${name} SET device_id = device_id`,
      `UPDATE ${name} SET sequence = 2`,
      `DELETE FROM ${name}`,
      `TRUNCATE ${name}`,
      `MERGE INTO ${name} USING (VALUES (1)) v ON true WHEN MATCHED THEN DELETE`,
    ])
      await assert.rejects(query(url, change), { code: '23001', message: /is append-only: \w+ refused/ }, change);
  }
  await assert.rejects(
    query(
      url,
      `INSERT INTO audit_records SELECT * FROM audit_records ON CONFLICT (device_id, sequence) DO UPDATE SET sequence = 2`,
    ),
    /is append-only/,
  );
  for (const name of tables) assert.equal((await query(url, `SELECT FROM ${name}`)).length, 1, name);
});

const registered = `
  INSERT INTO devices (id) VALUES ('lift-01'), ('lift-02');
  INSERT INTO device_keys (device_id, public_key, scheme, valid_until)
    VALUES ('lift-01', decode(repeat('01', 32), 'hex'), 'payload-v1', now() + interval '1 day')`;

test('nobody takes a device or a key away, or gives it to another device', async (t) => {
  const { url } = await createTestDatabase(t);
  await query(url, registered);
  for (const change of [
    `DELETE FROM devices WHERE id = 'lift-02'`,
    'DELETE FROM device_keys',
    'TRUNCATE devices CASCADE',
    'TRUNCATE device_keys',
    `UPDATE devices SET id = 'lift-03' WHERE id = 'lift-02'`,
    `UPDATE device_keys SET device_id = 'lift-02'`,
    `UPDATE device_keys SET public_key = decode(repeat('02', 32), 'hex')`,
    `UPDATE device_keys SET scheme = 'record-v2'`,
    `UPDATE device_keys SET created_at = now()`,
  ])
    await assert.rejects(query(url, change), { code: '23001', message: /is append-only: .* refused/ }, change);
});

test('nobody changes what a key says of the past, and its future is free until it is revoked', async (t) => {
  const { url } = await createTestDatabase(t);
  await query(url, registered);
  const set = (change: string) => query(url, `UPDATE device_keys SET ${change}`);
  const refuses = (change: string) => assert.rejects(set(change), { code: '23001', message: /device_keys: / }, change);
  await refuses(`valid_from = now() - interval '1 hour'`);
  await refuses(`valid_from = now() + interval '1 hour'`);
  await refuses(`valid_from = valid_from - interval '1 hour', valid_until = now() - interval '1 minute'`);
  await refuses(`revoked_at = now() - interval '1 hour'`);
  await refuses(`revoked_at = now() + interval '1 hour'`);
  await set(`valid_until = NULL`);
  await set(`valid_until = now() + interval '1 hour'`);
  await set(`revoked_at = now()`);
  await refuses(`revoked_at = NULL`);
  await refuses(`revoked_at = now()`);
  await refuses(`valid_until = NULL`);
  // One whose time is still to come, and one whose time is over.
  await query(
    url,
    `INSERT INTO device_keys (device_id, public_key, scheme, valid_from) VALUES
       ('lift-02', decode(repeat('02', 32), 'hex'), 'payload-v1', now() + interval '1 day')`,
    `UPDATE device_keys SET valid_from = now() + interval '1 hour' WHERE device_id = 'lift-02'`,
    `UPDATE device_keys SET valid_from = clock_timestamp() WHERE device_id = 'lift-02'`,
    `UPDATE device_keys SET valid_until = clock_timestamp() WHERE device_id = 'lift-02'`,
  );
  await assert.rejects(
    query(url, `UPDATE device_keys SET valid_until = NULL WHERE device_id = 'lift-02'`),
    /valid_until can move only while the key counts/,
  );
});

test('every partition, of now and of the months to come, refuses TRUNCATE', async (t) => {
  const { url } = await createTestDatabase(t);
  const partitions = await query(
    url,
    `SELECT inhrelid::regclass::text AS name FROM pg_inherits JOIN pg_class ON oid = inhrelid AND relkind = 'r'`,
  );
  assert.ok(partitions.length > 16 + 3);
  for (const { name } of partitions)
    await assert.rejects(query(url, `TRUNCATE ${name}`), /is append-only/, String(name));
});

test("the operation log's retention is a DROP of its oldest month", async (t) => {
  const { url } = await createTestDatabase(t);
  await query(url, oneOfEach);
  const [month] = await query(url, 'SELECT tableoid::regclass::text AS name FROM operation_logs');
  assert.match(String(month?.name), /^operation_logs_\d{4}_\d{2}$/);
  await query(url, `DROP TABLE ${month?.name}`);
  // An entry of a month that has no partition is kept all the same.
  await query(url, oneOfEach.split(';')[1] ?? '');
  assert.deepEqual(await query(url, 'SELECT tableoid::regclass::text AS name FROM operation_logs'), [
    { name: 'operation_logs_default' },
  ]);
});

const monthsMade = `SELECT relid::regclass::text AS name FROM pg_partition_tree('operation_logs') WHERE isleaf ORDER BY 1`;

test('a month that the default partition has rows of already costs the later months nothing', async (t) => {
  const { url } = await createTestDatabase(t);
  await query(
    url,
    `INSERT INTO operation_logs (id, decision, device_id, sequence, message, created_at)
     VALUES (gen_random_uuid(), 'Accepted', 'lift-01', 1, 'x', now() + interval '5 months')`,
  );
  const before = (await query(url, monthsMade)).length;
  await query(url, 'SELECT ensure_operation_log_partitions(8)');
  assert.equal((await query(url, monthsMade)).length, before + 4, 'months 4, 6, 7 and 8, and not 5');
  assert.equal((await query(url, `SELECT FROM operation_logs_default`)).length, 1);
});

test("the service's role cannot turn the partitions' upkeep aside with tables of its own", async (t) => {
  const { ownerUrl, serviceUrl } = await withServiceRole(t);
  const [month] = await query(
    ownerUrl,
    `SELECT 'operation_logs_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM') AS name`,
  );
  const before = await query(ownerUrl, monthsMade);
  await query(ownerUrl, `DROP TABLE ${month?.name}`);
  await query(
    serviceUrl,
    `CREATE TEMPORARY TABLE ${month?.name} (n int)`,
    'CREATE TEMPORARY TABLE operation_logs (n int)',
    'SELECT ensure_operation_log_partitions(3)',
  );
  assert.deepEqual(await query(ownerUrl, monthsMade), before);
});

/** The test database's owner, and the service's role as `eds migrate --service-role` leaves it. */
async function withServiceRole(t: TestContext) {
  const { url, name } = await createTestDatabase(t);
  const role = `${name}_service`;
  const password = randomBytes(16).toString('hex');
  await query(url, `CREATE ROLE ${role} LOGIN PASSWORD '${password}'`);
  t.after(() => query(url.replace(`/${name}`, '/postgres'), `DROP OWNED BY ${role}`, `DROP ROLE ${role}`));
  await migrate({ databaseUrl: url, serviceRole: role });
  const serviceUrl = new URL(url);
  serviceUrl.username = role;
  serviceUrl.password = password;
  return { ownerUrl: url, serviceUrl: serviceUrl.href, role };
}

test("the service's role may read and append, and nothing else", async (t) => {
  const { ownerUrl, serviceUrl } = await withServiceRole(t);
  await query(ownerUrl, `INSERT INTO devices (id) VALUES ('lift-01')`);
  await query(serviceUrl, oneOfEach);
  for (const name of [...tables, 'devices', 'device_keys', 'schema_migrations'])
    await query(serviceUrl, `SELECT * FROM ${name}`);
  for (const forbidden of [
    ...tables.flatMap((name) => [`UPDATE ${name} SET device_id = 'x'`, `DELETE FROM ${name}`, `TRUNCATE ${name}`]),
    `INSERT INTO devices (id) VALUES ('mine')`,
    `UPDATE devices SET enabled = true`,
    `DELETE FROM devices`,
    `INSERT INTO device_keys (device_id, public_key, scheme) VALUES ('lift-01', decode(repeat('01', 32), 'hex'), 'payload-v1')`,
    `UPDATE device_keys SET revoked_at = NULL`,
    `INSERT INTO schema_migrations VALUES (99, 'x', 'x')`,
    `INSERT INTO audit_records_p00 SELECT * FROM audit_records`,
    `SELECT nextval('device_revision')`,
  ])
    await assert.rejects(query(serviceUrl, forbidden), /permission denied/, forbidden);
  for (const forbidden of [
    'ALTER TABLE audit_records DISABLE TRIGGER append_only',
    'DROP TABLE audit_records',
    'ALTER TABLE audit_records DROP CONSTRAINT audit_records_fence',
    'CREATE TABLE mine (n int)',
  ])
    await assert.rejects(query(serviceUrl, forbidden), /must be owner|permission denied/, forbidden);
  const pool = openTestPool(serviceUrl);
  await ensureLogPartitions(pool);
  await pool.end();
});

/** As the commit of the first version, whose pods run on beside the new ones. */
const asVersionOne = [
  `INSERT INTO audit_records (device_id, sequence, timestamp_ms, payload_hash, signature, prev_record_hash, object_ref,
                              record_hash, object_key, object_offset, payload_bytes)
   SELECT 'lift-09', 1, 0, h, h || h, h, 'x', h, 'x', NULL, 0 FROM decode(repeat('00', 32), 'hex') h
   ON CONFLICT ON CONSTRAINT audit_records_fence DO NOTHING RETURNING device_id`,
  `INSERT INTO operation_logs (id, decision, device_id, sequence, message)
   VALUES (gen_random_uuid(), 'Accepted', 'lift-09', 1, 'x')`,
  `INSERT INTO operation_logs (id, decision, device_id, sequence, code, message)
   VALUES (gen_random_uuid(), 'Rejected', 'lift-09', 1, 'x', 'x')`,
  `INSERT INTO equivocations (device_id, sequence, record_hash, record)
   VALUES ('lift-09', 1, decode(repeat('00', 32), 'hex'), '') ON CONFLICT DO NOTHING`,
];

test("the service's role cannot make up a change of the registry, or another time", async (t) => {
  const { ownerUrl, serviceUrl, role } = await withServiceRole(t);
  const logRow = (columns: string, values: string) =>
    `INSERT INTO operation_logs (id, device_id, sequence, message, ${columns}) VALUES (gen_random_uuid(), 'x', 0, 'x', ${values})`;
  const forged = [
    logRow('decision, actor', `'Registry', 'alice'`),
    logRow('decision, created_at', `'Accepted', now() - interval '1 hour'`),
    `INSERT INTO audit_records SELECT device_id, 2, timestamp_ms, payload_hash, signature, prev_record_hash, object_ref,
       record_hash, object_key, object_offset, payload_bytes, now() FROM audit_records`,
    `INSERT INTO equivocations SELECT device_id, 2, record_hash, record, now() FROM equivocations`,
  ];
  const refusesForgery = async () => {
    for (const sql of forged) await assert.rejects(query(serviceUrl, sql), /permission denied/, sql);
    await assert.rejects(query(serviceUrl, logRow('decision', `'Registry'`)), { code: '23514' });
    await query(serviceUrl, ...asVersionOne);
  };
  await refusesForgery();
  // As the version before granted it, and as its migration does again after a rollback.
  await query(ownerUrl, `GRANT INSERT ON ${tables.join(', ')} TO ${role}`);
  await query(serviceUrl, logRow('decision, actor', `'Registry', 'alice'`));
  await migrate({ databaseUrl: ownerUrl, serviceRole: role });
  await refusesForgery();
});

/** One device in, over HTTP, and what the ledger then has of it. */
async function sendOne(url: string, device: TestDevice): Promise<number> {
  const headers = { 'Content-Type': 'application/json' };
  const response = await fetch(`${url}/api/v1/ingest`, { method: 'POST', headers, body: device.nextBody() });
  return response.status;
}

test('eds serve works as the role that may only read and append', async (t) => {
  const { ownerUrl, serviceUrl } = await withServiceRole(t);
  const owner = openTestPool(ownerUrl);
  const device = await new TestDevice('lift-01').register(new DeviceRegistry(owner));
  {
    await using service = await ServeProcess.start(t, serviceUrl);
    assert.equal(await sendOne(service.url, device), 202);
    assert.equal((await fetch(`${service.opsUrl}/readyz`)).status, 200);
    assert.equal(await service.stop(), 0);
    const troubles = service.log.filter(({ level }) => level !== 'info' && level !== 30);
    assert.deepEqual(troubles, []);
  }
  assert.equal(await recordCount(owner, 'lift-01'), 1);
  await owner.end();
});

test('a single role that owns everything works where that is all there is', async (t) => {
  const { url, name } = await createTestDatabase(t);
  const role = `${name}_single`;
  const password = randomBytes(16).toString('hex');
  const database = `${name}_single`;
  const server = url.replace(`/${name}`, '/postgres');
  await query(url, `CREATE ROLE ${role} LOGIN PASSWORD '${password}'`);
  await query(url, `CREATE DATABASE ${database} OWNER ${role}`);
  t.after(() => query(server, `DROP DATABASE ${database} WITH (FORCE)`, `DROP ROLE ${role}`));
  const single = new URL(url);
  [single.username, single.password, single.pathname] = [role, password, `/${database}`];
  await migrate({ databaseUrl: single.href });
  const device = new TestDevice('lift-01');
  const key = `--device=lift-01=${device.key.publicKey.toString('hex')}`;
  await using service = await ServeProcess.start(t, single.href, { args: [key] });
  assert.equal(await sendOne(service.url, device), 202);
  assert.equal(await service.stop(), 0);
});
