/** Who a client is by its certificate decides what it may send: `eds serve-tls`, real certificates, a real registry. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, type TestContext, test } from 'node:test';
import { query } from '../dev/database.ts';
import { DeviceRegistry } from '../src/ledger/device-registry.ts';
import {
  authority,
  type CertificateAuthority,
  hourMs,
  type Issued,
  serverCertificate,
} from './support/certificates.ts';
import { eds } from './support/command-line.ts';
import { openTestPool } from './support/ledger.ts';
import { MountedSecret } from './support/mounted-secret.ts';
import { outcomes, times } from './support/post-batch.ts';
import { createTestDatabase } from './support/postgres.ts';
import { ServeProcess } from './support/serve-process.ts';
import { recordCount, TestDevice } from './support/service.ts';
import { TlsClient, type TlsReply } from './support/tls-client.ts';

/** What a change of the registry may take to reach every replica. */
const promisedMs = 1000;

let servers: CertificateAuthority;
let devices: CertificateAuthority;

before(async () => {
  servers = await authority();
  devices = await authority('Device CA');
});

/** The files of a Secret: the server's pair, the CA of its clients, and who of them is revoked. */
const secretOf = async ({ cert, key }: Pick<Issued, 'cert' | 'key'>, revoked: readonly Issued[] = []) => ({
  'tls.crt': cert,
  'tls.key': key,
  'ca.crt': devices.cert,
  'ca.crl': await devices.crl({ revoked: revoked.map(({ serial }) => serial) }),
});

/** One ledger, one payload store and one Secret for as many replicas as a test starts. */
async function openSite(t: TestContext) {
  const { url: databaseUrl } = await createTestDatabase(t);
  const storeDirectory = await mkdtemp(join(tmpdir(), 'eds-identity-'));
  t.after(() => rm(storeDirectory, { recursive: true, force: true }));
  const pool = openTestPool(databaseUrl);
  const registry = new DeviceRegistry(pool);
  const certificate = await serverCertificate();
  const secret = await MountedSecret.create(t, await secretOf(certificate));
  const args = [
    `--store-dir=${storeDirectory}`,
    `--tls-cert=${secret.path('tls.crt')}`,
    `--tls-key=${secret.path('tls.key')}`,
    `--tls-client-ca=${secret.path('ca.crt')}`,
    `--tls-client-crl=${secret.path('ca.crl')}`,
    '--log-level=trace',
  ];
  return {
    databaseUrl,
    pool,
    certificate,
    secret,
    device: (id: string): Promise<TestDevice> => new TestDevice(id).register(registry),
    start: (...more: readonly string[]) =>
      ServeProcess.start(t, databaseUrl, { command: 'serve-tls', args: [...args, ...more] }),
    [Symbol.asyncDispose]: () => pool.end(),
  };
}

const client = ({ url }: ServeProcess, own?: Issued) => new TlsClient(url, servers.cert, own);

/** As it reads in answers, in the operation log and in runbooks. */
const mismatch = (certIdentity: string, deviceId: string) =>
  `ingest verification failed: auth/device mismatch: cert_identity=${certIdentity} device_id=${deviceId}`;

function assertMismatch({ status, text }: TlsReply, certIdentity: string, deviceId: string): void {
  const error = mismatch(certIdentity, deviceId);
  assert.deepEqual([status, JSON.parse(text)], [422, { status: 'rejected', code: 'identity_mismatch', error }]);
}

function assertAccepted({ status, text }: TlsReply): void {
  assert.equal(status, 202, text);
}

/** @returns milliseconds until `send` was first accepted; what is sent past those promised must be */
async function untilAccepted(send: () => Promise<TlsReply>): Promise<number> {
  const startMs = performance.now();
  for (;;) {
    const sentMs = performance.now() - startMs;
    const reply = await send();
    if (reply.status === 202) return performance.now() - startMs;
    if (sentMs > promisedMs) assertAccepted(reply);
  }
}

test('a certificate sends the records of the device that it names, and of no other, one by one and in batches', async (t) => {
  await using site = await openSite(t);
  const cases = [
    { id: 'urn:dev:lift-01', names: { uri: ['urn:dev:lift-01'], cn: 'lift-03' } },
    { id: 'lift-02.example', names: { dns: ['lift-02.example'], cn: 'lift-03' } },
    { id: 'lift-03', names: { cn: 'lift-03' } },
  ];
  const victim = await site.device('victim');
  await using service = await site.start('--tls-client-auth=required');
  for (const { id, names } of cases) {
    const device = await site.device(id);
    using own = client(service, await devices.issue({ names }));
    assertAccepted(await own.send(device.nextBody()));
    assert.deepEqual(outcomes(await own.sendBatch(device.nextBodies(2))), times(2, 'accepted'));

    const record = victim.nextBody();
    assertMismatch(await own.send(record), id, 'victim');
    const verdicts = await own.sendBatch([record, device.nextBody()]);
    assert.deepEqual(outcomes(verdicts), ['identity_mismatch', 'accepted']);
    assert.equal(verdicts[0]?.error, mismatch(id, 'victim'));
    assert.equal(await recordCount(site.pool, id), 4);
  }
  assert.equal(await recordCount(site.pool, 'victim'), 0);

  const refused = await query(
    site.databaseUrl,
    `SELECT message, sum(count)::int AS count FROM operation_logs WHERE decision = 'Rejected' AND code = 'identity_mismatch'
     AND device_id = 'victim' GROUP BY message ORDER BY message`,
  );
  const expected = cases.map(({ id }) => ({ message: mismatch(id, 'victim'), count: 2 }));
  assert.deepEqual(
    refused,
    expected.sort((a, b) => (a.message < b.message ? -1 : 1)),
  );
  assert.equal(await service.metric('edgesentry_ingest_rejected_total{reason="identity_mismatch"}'), 6);
  await service.logged('"auth/device mismatch"', 6);
  const lines = service.log.filter(({ reason }) => reason === 'auth/device mismatch');
  assert.deepEqual(
    lines.map(({ message }) => message),
    times(6, 'record rejected'),
  );
});

test('where certificates are optional, a sender without one may send, and one that is presented counts', async (t) => {
  await using site = await openSite(t);
  const device = await site.device('lift-01');
  await using service = await site.start('--tls-client-auth=optional');
  using nobody = client(service);
  assertAccepted(await nobody.send(device.nextBody()));
  using own = client(service, await devices.issue({ names: { cn: 'lift-01' } }));
  assertAccepted(await own.send(device.nextBody()));
  using other = client(service, await devices.issue({ names: { cn: 'lift-02' } }));
  assertMismatch(await other.send(device.nextBody()), 'lift-02', 'lift-01');
});

test('a gateway speaks for a device within a second of being added, and no more once it is removed, at every replica', async (t) => {
  await using site = await openSite(t);
  const change = async (...args: string[]) => {
    const { exitCode, stderr } = await eds(['device', 'gateway', ...args], { env: { DATABASE_URL: site.databaseUrl } });
    assert.equal(exitCode, 0, stderr);
  };
  const gateway = 'gateway-7.site.example';
  const certificate = await devices.issue({ names: { dns: [gateway] } });
  const [behind, elsewhere] = [await site.device('lift-01'), await site.device('lift-02')];
  await using one = await site.start();
  await using other = await site.start();
  using first = client(one, certificate);
  using second = client(other, certificate);

  const record = behind.nextBody();
  for (const replica of [first, second]) assertMismatch(await replica.send(record), gateway, 'lift-01');
  await change('add', 'lift-01', gateway);
  const secondMs = await untilAccepted(() => second.send(record));
  const next = behind.nextBody();
  const firstMs = await untilAccepted(() => first.send(next));
  t.diagnostic(`heard of the gateway after ${Math.round(secondMs)} ms and ${Math.round(firstMs)} ms`);
  const foreign = elsewhere.nextBody();
  for (const replica of [first, second]) {
    const verdicts = await replica.sendBatch([behind.nextBody(), foreign, behind.nextBody()]);
    assert.deepEqual(outcomes(verdicts), ['accepted', 'identity_mismatch', 'accepted']);
  }

  await change('remove', 'lift-01', gateway);
  const late = behind.nextBody();
  for (const replica of [first, second]) {
    assertMismatch(await replica.send(late), gateway, 'lift-01');
    assert.deepEqual(outcomes(await replica.sendBatch([late])), ['identity_mismatch']);
  }
  assert.equal(await recordCount(site.pool, 'lift-01'), 6);
});

test('a certificate that is revoked while the service runs ends with its next answer, and comes in no more', async (t) => {
  await using site = await openSite(t);
  const [lost, kept] = [await site.device('lift-01'), await site.device('lift-02')];
  const certificate = await devices.issue({ names: { cn: lost.id } });
  await using service = await site.start();
  using thief = client(service, certificate);
  using honest = client(service, await devices.issue({ names: { cn: kept.id } }));
  const before = [await thief.send(lost.nextBody()), await honest.send(kept.nextBody())];
  for (const reply of before) assertAccepted(reply);
  const refusals = 'edgesentry_connection_refused_total{reason="client_certificate_revoked"}';
  assert.equal(await service.metric(refusals), 0);

  await site.secret.update(await secretOf(site.certificate, [certificate]));
  await service.logged('"certificate swapped"');
  for (const [index, reply] of [await thief.send(lost.nextBody()), await honest.send(kept.nextBody())].entries()) {
    assertAccepted(reply);
    assert.deepEqual([reply.connection, reply.closes], [before[index]?.connection, true]);
  }
  const { status, text } = await thief.send(lost.nextBody());
  assert.deepEqual([status, JSON.parse(text).error], [400, 'the client certificate has been revoked']);
  assert.equal(await service.metric(refusals), 1);
  const after = await honest.send(kept.nextBody());
  assertAccepted(after);
  assert.notEqual(after.connection, before[1]?.connection);
  assert.deepEqual([await recordCount(site.pool, lost.id), await recordCount(site.pool, kept.id)], [2, 3]);

  const swapped = service.log.filter(({ message }) => message === 'certificate swapped');
  assert.deepEqual(
    swapped.map(({ serial, trust_changed }) => [serial, trust_changed]),
    [[site.certificate.serial, true]],
  );
  await service.logged('"connection refused"');
  const [refused] = service.log.filter(({ message }) => message === 'connection refused');
  assert.deepEqual([refused?.reason, refused?.source_address], ['client_certificate_revoked', '127.0.0.1']);
});

test('a renewal is told by its log line and its metrics, and no file, good or mixed up, shows its key to the log', async (t) => {
  await using site = await openSite(t);
  const renewed = await serverCertificate({ notAfter: new Date(Date.now() + 3 * hourMs) });
  const certificate = await devices.issue({ names: { cn: 'lift-01' } });
  const device = await site.device('lift-01');
  const service = await site.start();
  using own = client(service, certificate);
  const expiry = () => service.metric('edgesentry_tls_certificate_expiry_timestamp_seconds');
  const endOf = ({ cert }: Issued) => new X509Certificate(cert).validToDate;
  assert.equal(await expiry(), endOf(site.certificate).getTime() / 1000);

  await site.secret.update(await secretOf(renewed));
  await service.logged('"certificate swapped"');
  assert.equal(await expiry(), endOf(renewed).getTime() / 1000);
  assert.equal(await service.metric('edgesentry_tls_certificate_reload_total{result="swapped"}'), 1);
  const swapped = service.log.find(({ message }) => message === 'certificate swapped');
  assert.deepEqual([swapped?.serial, swapped?.expires_at], [renewed.serial, endOf(renewed).toISOString()]);

  const mistakes = [
    { cert: renewed.key, key: renewed.cert },
    { cert: renewed.cert + renewed.key, key: site.certificate.key },
    { cert: renewed.cert, key: renewed.key.replace(/.{9}\n/, 'XXXXXXXXX\n') },
  ];
  for (const [index, mistake] of mistakes.entries()) {
    await site.secret.update(await secretOf(mistake));
    await service.logged('"certificate refused"', index + 1);
    assert.equal(await service.metric('edgesentry_tls_certificate_reload_total{result="refused"}'), index + 1);
  }
  assert.equal(await expiry(), endOf(renewed).getTime() / 1000);
  assertAccepted(await own.send(device.nextBody()));
  assert.equal(await service.stop(), 0);

  const secrets = [site.certificate, renewed, certificate].flatMap(({ key }) => keyLines(key));
  assert.ok(secrets.length >= 6);
  for (const line of service.lines) {
    // In brackets it is the way out that a refusal names.
    assert.doesNotMatch(line, /-----BEGIN [A-Z ]+-----(?!\))/);
    for (const secret of secrets) assert.ok(!line.includes(secret), line);
  }
});

/** The base64 of a PEM file, line by line: none of it is there by chance. */
const keyLines = (pem: string): string[] => pem.split('\n').filter((line) => line !== '' && !line.startsWith('-----'));
