/** Who changed the registry, what and when: in the operation log, whatever the client, on a real Postgres. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import pg from 'pg';
import { query } from '../dev/database.ts';
import { readDeviceHistory, registryChanges } from '../src/ledger/device-history.ts';
import { DeviceRegistry } from '../src/ledger/device-registry.ts';
import { migrate } from '../src/ledger/migrate.ts';
import { generateSigningKey } from '../src/record/signing-key.ts';
import { openTestPool } from './support/ledger.ts';
import { createTestDatabase } from './support/postgres.ts';

const logged = `SELECT device_id, sequence::int, code, message, actor, created_at FROM operation_logs
                WHERE decision = 'Registry' ORDER BY created_at`;
const key = `decode(repeat('01', 32), 'hex')`;
const keyText = 'payload-v1:0101010101010101';
const at = '\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z';

/** Each changes one thing. */
const changes: readonly (readonly [sql: string, change: (typeof registryChanges)[number], message: RegExp])[] = [
  [`INSERT INTO devices (id) VALUES ('lift-01')`, 'device_registered', /^registered$/],
  [
    `INSERT INTO devices (id, site, enabled) VALUES ('lift-02', 'north', false)`,
    'device_registered',
    /^registered, site north, suspended$/,
  ],
  [`UPDATE devices SET enabled = false WHERE id = 'lift-01'`, 'device_suspended', /^suspended$/],
  [`UPDATE devices SET enabled = true WHERE id = 'lift-01'`, 'device_resumed', /^resumed$/],
  [`UPDATE devices SET site = 'south' WHERE id = 'lift-02'`, 'site_changed', /^site north -> south$/],
  [`UPDATE devices SET site = NULL WHERE id = 'lift-02'`, 'site_changed', /^site south -> none$/],
  [
    `INSERT INTO device_keys (device_id, public_key, scheme) VALUES ('lift-01', ${key}, 'payload-v1')`,
    'key_added',
    new RegExp(`^${keyText} from ${at}$`),
  ],
  [
    `UPDATE device_keys SET valid_until = now() + interval '1 hour' WHERE device_id = 'lift-01'`,
    'key_validity_changed',
    new RegExp(`^${keyText} until none -> ${at}$`),
  ],
  [
    `UPDATE device_keys SET proof = ${key} || ${key} WHERE device_id = 'lift-01'`,
    'key_proven',
    new RegExp(`^${keyText}$`),
  ],
  [`UPDATE device_keys SET revoked_at = now() WHERE device_id = 'lift-01'`, 'key_revoked', new RegExp(`^${keyText}$`)],
  [
    `INSERT INTO device_keys (device_id, public_key, scheme, valid_until, proof, revoked_at)
     VALUES ('lift-02', ${key}, 'record-v2', now() + interval '1 hour', ${key} || ${key}, now())`,
    'key_added',
    new RegExp(`^record-v2:0101010101010101 from ${at} until ${at}, proven, revoked$`),
  ],
  [`INSERT INTO device_gateways (device_id, identity) VALUES ('lift-01', 'gw')`, 'gateway_added', /^gw$/],
  [`DELETE FROM device_gateways WHERE device_id = 'lift-01'`, 'gateway_removed', /^gw$/],
];

test('every change, made with whatever client, leaves one row that says who and when', async (t) => {
  const { url } = await createTestDatabase(t);
  const superuser = new URL(url).username;
  for (const [sql, change, message] of changes) {
    const before = await query(url, logged);
    const [{ now: start } = {}] = await query(url, 'SELECT clock_timestamp() AS now');
    await query(url, sql);
    const [row, ...others] = (await query(url, logged)).slice(before.length);
    assert.deepEqual(others, [], sql);
    assert.deepEqual([row?.code, row?.sequence, row?.actor], [change, 0, `role ${superuser}`], sql);
    assert.match(String(row?.device_id), /^lift-0[12]$/);
    assert.match(String(row?.message), message);
    const [{ recent } = {}] = await query(
      url,
      `SELECT bool_and(created_at BETWEEN now() - interval '1 minute' AND now()) AS recent FROM operation_logs`,
    );
    assert.equal(recent, true);
    assert.ok(row?.created_at instanceof Date && start instanceof Date && row.created_at >= start);
  }
  assert.deepEqual([...new Set(changes.map(([, change]) => change))].sort(), [...registryChanges].sort());
});

test('what changes nothing leaves no row', async (t) => {
  const { url } = await createTestDatabase(t);
  await query(url, ...changes.map(([sql]) => sql));
  const before = await query(url, logged);
  await query(
    url,
    'UPDATE devices SET enabled = enabled, site = site, updated_at = now()',
    'UPDATE device_keys SET valid_until = valid_until, proof = proof, revoked_at = revoked_at',
    `INSERT INTO devices (id) VALUES ('lift-01') ON CONFLICT DO NOTHING`,
    'BEGIN',
    `UPDATE devices SET enabled = NOT enabled`,
    'ROLLBACK',
  );
  assert.deepEqual(await query(url, logged), before);
});

test('the changes of one statement and of one transaction are told apart, in their order', async (t) => {
  const { url } = await createTestDatabase(t);
  await query(
    url,
    'BEGIN',
    `INSERT INTO devices (id, enabled) VALUES ('lift-01', false)`,
    `UPDATE devices SET site = 'north', enabled = true`,
    `INSERT INTO device_gateways (device_id, identity) VALUES ('lift-01', 'a')`,
    `UPDATE device_gateways SET identity = 'b'`,
    'COMMIT',
  );
  assert.deepEqual(
    (await query(url, logged)).map(({ code, message }) => `${code} ${message}`),
    [
      'device_registered registered, suspended',
      'site_changed site none -> north',
      'device_resumed resumed',
      'gateway_added a',
      'gateway_removed a',
      'gateway_added b',
    ],
  );
});

test('a client says who it is for one transaction, and can neither hide its role nor break the line', async (t) => {
  const { url } = await createTestDatabase(t);
  const role = new URL(url).username;
  await query(
    url,
    'BEGIN',
    `SELECT set_config('edgesentry.actor', E'alice\\n (role nobody)', true)`,
    `INSERT INTO devices (id) VALUES ('lift-01')`,
    'COMMIT',
    `INSERT INTO devices (id) VALUES ('lift-02')`,
  );
  assert.deepEqual(
    (await query(url, logged)).map(({ actor }) => actor),
    [`alice? (role nobody) (role ${role})`, `role ${role}`],
  );
});

test('the registry says who asked it, and a refused change leaves nothing', async (t) => {
  const { url } = await createTestDatabase(t);
  const pool = openTestPool(url);
  const registry = new DeviceRegistry(pool, 'alice@laptop');
  const [first, second] = [generateSigningKey(), generateSigningKey()];
  await registry.register('lift-01', { scheme: 'payload-v1', publicKey: first.publicKey }, 'north');
  await registry.rotate('lift-01', { scheme: 'record-v2', publicKey: second.publicKey }, 60_000);
  await registry.revoke('lift-01', first.publicKey);
  await registry.setEnabled('lift-01', false);
  await registry.setEnabled('lift-01', false);
  await registry.addGateway('lift-01', 'gateway-7');
  await registry.addGateway('lift-01', 'gateway-7');
  await registry.removeGateway('lift-01', 'gateway-7');
  await assert.rejects(registry.removeGateway('lift-01', 'gateway-7'), /device lift-01 has no gateway gateway-7/);
  await assert.rejects(registry.register('lift-01', { scheme: 'payload-v1', publicKey: first.publicKey }), /revoked/);
  const history = await readDeviceHistory(pool, { deviceId: 'lift-01', limit: 100 });
  await pool.end();
  assert.deepEqual(
    history.map(({ change }) => change),
    [
      'device_registered',
      'key_added',
      'key_added',
      'key_validity_changed',
      'key_revoked',
      'device_suspended',
      'gateway_added',
      'gateway_removed',
    ],
  );
  for (const { actor } of history) assert.equal(actor, `alice@laptop (role ${new URL(url).username})`);
});

test('a proof is kept as the key is, and there is no way round the log', async (t) => {
  const { url } = await createTestDatabase(t);
  await query(url, ...changes.map(([sql]) => sql));
  for (const refused of [
    'UPDATE device_keys SET proof = NULL',
    `UPDATE device_keys SET proof = decode(repeat('02', 64), 'hex')`,
    'TRUNCATE device_gateways',
    `UPDATE operation_logs SET actor = 'nobody'`,
    `DELETE FROM operation_logs`,
  ])
    await assert.rejects(query(url, refused), { code: '23001' }, refused);
  const row = `INSERT INTO operation_logs (id, decision, device_id, sequence, message, actor) VALUES (gen_random_uuid()`;
  for (const refused of [
    `${row}, 'Registry', 'lift-01', 0, 'x', NULL)`,
    `${row}, 'Accepted', 'lift-01', 1, 'x', 'alice')`,
    `${row}, 'Other', 'lift-01', 1, 'x', NULL)`,
  ])
    await assert.rejects(query(url, refused), { code: '23514' }, refused);
});

/** A role of the test's own, that may log in. */
async function createRole(t: TestContext, url: string, suffix: string): Promise<{ role: string; roleUrl: string }> {
  const database = new URL(url).pathname.slice(1);
  const role = `${database}_${suffix}`;
  const password = randomBytes(16).toString('hex');
  await query(url, `CREATE ROLE ${role} LOGIN PASSWORD '${password}'`);
  t.after(() => query(url.replace(`/${database}`, '/postgres'), `DROP OWNED BY ${role}`, `DROP ROLE ${role}`));
  const roleUrl = new URL(url);
  [roleUrl.username, roleUrl.password] = [role, password];
  return { role, roleUrl: roleUrl.href };
}

test('whoever may change the registry and nothing else is logged by the name of the role, and cannot forge the log', async (t) => {
  const { url } = await createTestDatabase(t);
  const { role, roleUrl } = await createRole(t, url, 'operator');
  await query(
    url,
    `GRANT SELECT, INSERT, UPDATE ON devices TO ${role}`,
    `GRANT SELECT, INSERT, DELETE ON device_gateways TO ${role}`,
    `GRANT USAGE ON SEQUENCE device_revision TO ${role}`,
  );
  await query(
    roleUrl,
    `INSERT INTO devices (id) VALUES ('lift-01')`,
    `INSERT INTO device_gateways (device_id, identity) VALUES ('lift-01', 'gw')`,
  );
  assert.deepEqual(
    (await query(url, logged)).map(({ actor }) => actor),
    [`role ${role}`, `role ${role}`],
  );
  await assert.rejects(query(roleUrl, `SELECT log_registry_change('lift-01', 'key_revoked', 'x')`), {
    message: /permission denied for function/,
  });
});

/** A database as migration 1 left it, with a service role as the version before granted it, and decisions in its log. */
async function createVersionOne(t: TestContext) {
  const { url } = await createTestDatabase(t);
  const sql = await readFile(new URL('../migrations/0001_ledger.sql', import.meta.url), 'utf8');
  const checksum = createHash('sha256').update(sql).digest('hex');
  const { role, roleUrl } = await createRole(t, url, 'service');
  await query(
    url,
    'DROP SCHEMA public CASCADE',
    'CREATE SCHEMA public',
    sql,
    `CREATE TABLE schema_migrations (version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
       applied_at timestamptz NOT NULL DEFAULT clock_timestamp())`,
    `INSERT INTO schema_migrations (version, name, checksum) VALUES (1, '0001_ledger.sql', '${checksum}')`,
    `GRANT USAGE ON SCHEMA public TO ${role}`,
    `GRANT SELECT ON devices, device_keys, operation_logs TO ${role}`,
    `GRANT INSERT ON operation_logs TO ${role}`,
    ...oldDecisions('now()'),
  );
  return { url, roleUrl };
}

/** As the version before writes them. */
const oldDecisions = (moment: string) => [
  `INSERT INTO operation_logs (id, decision, device_id, sequence, message, created_at)
   VALUES (gen_random_uuid(), 'Accepted', 'lift-01', 1, 'ingest accepted', ${moment})`,
  `INSERT INTO operation_logs (id, decision, device_id, sequence, code, message, created_at)
   VALUES (gen_random_uuid(), 'Rejected', 'lift-01', 2, 'invalid_signature', 'no', ${moment})`,
];

test('the version before runs on over the new schema, and its role reads what the new one needs', async (t) => {
  const { url, roleUrl } = await createVersionOne(t);
  await migrate({ databaseUrl: url });
  await query(roleUrl, ...oldDecisions('now()'), 'SELECT FROM device_gateways');
  assert.equal((await query(url, 'SELECT FROM operation_logs')).length, 4);
  await assert.rejects(query(roleUrl, `INSERT INTO device_gateways VALUES ('lift-01', 'mine')`), /permission denied/);
});

test('every month of the log, made before or after, takes what the new version writes', async (t) => {
  const { url } = await createVersionOne(t);
  await migrate({ databaseUrl: url });
  await query(url, 'SELECT ensure_operation_log_partitions(6)');
  const registry = (moment: string, actor: string) =>
    `INSERT INTO operation_logs (id, decision, device_id, sequence, message, actor, created_at)
     VALUES (gen_random_uuid(), 'Registry', 'lift-01', 0, 'x', ${actor}, ${moment})`;
  // Months 0 to 3 are from before, 4 to 6 from after; the default partition takes month 8.
  for (const month of [0, 1, 2, 3, 4, 5, 6, 8]) {
    const moment = `now() + interval '${month} months'`;
    await query(url, ...oldDecisions(moment), registry(moment, `'alice'`));
    await assert.rejects(query(url, registry(moment, 'NULL')), { code: '23514' }, `month ${month}`);
  }
  const partitions = await query(url, `SELECT DISTINCT tableoid FROM operation_logs WHERE decision = 'Registry'`);
  assert.equal(partitions.length, 8);
});

test('a migration behind a long reader of the log gives up instead of holding up every commit', async (t) => {
  const { url } = await createVersionOne(t);
  const reader = new pg.Client({ connectionString: url });
  await reader.connect();
  await reader.query('BEGIN');
  await reader.query('SELECT FROM operation_logs');
  await assert.rejects(
    migrate({ databaseUrl: url }),
    /0002_registry_log\.sql failed and was rolled back: .*lock timeout/,
  );
  await query(url, ...oldDecisions('now()'));
  await reader.end();
  await migrate({ databaseUrl: url });
});
