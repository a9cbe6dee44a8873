/** What an operator says on the command line is what the running service does, and what its metrics tell. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { DeviceRegistry } from '../src/ledger/device-registry.ts';
import { serverCertificate } from './support/certificates.ts';
import { openTestPool } from './support/ledger.ts';
import { MountedSecret } from './support/mounted-secret.ts';
import { createTestDatabase } from './support/postgres.ts';
import { closed, exchange, openSocket, postHead, type RawAnswer } from './support/raw-http.ts';
import { ServeProcess } from './support/serve-process.ts';
import { TestDevice } from './support/service.ts';

const wait = { signal: AbortSignal.timeout(60_000) };

async function openSite(t: TestContext) {
  const { url: databaseUrl } = await createTestDatabase(t);
  const pool = openTestPool(databaseUrl);
  t.after(() => pool.end());
  return { databaseUrl, device: await new TestDevice('lift-01').register(new DeviceRegistry(pool)) };
}

const portOf = ({ url }: ServeProcess) => Number(new URL(url).port);

/** One record as a balancer passes it on from `source`. */
function postFrom(service: ServeProcess, source: string, body: string): Promise<RawAnswer> {
  const headers = {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
    Connection: 'close',
  };
  const proxyHeader = `PROXY TCP4 ${source} 192.0.2.1 50000 443\r\n`;
  return exchange(portOf(service), `${proxyHeader}${postHead('/api/v1/ingest', headers)}${body}`);
}

test('allowed sources and rates hold for the device behind a balancer', wait, async (t) => {
  const { databaseUrl, device } = await openSite(t);
  const args = [
    '--allowed-sources=198.51.100.0/24',
    '--proxy-protocol-from=127.0.0.1',
    '--limit-source=0.001:1',
    '--clock-skew-seconds-max=60',
  ];
  await using service = await ServeProcess.start(t, databaseUrl, { args });
  assert.equal((await postFrom(service, '198.51.100.7', device.nextBody())).status, 202);
  const limited = await postFrom(service, '198.51.100.7', device.nextBody());
  assert.deepEqual([limited.status, limited.headers.get('retry-after')], [429, '60']);
  assert.equal((await postFrom(service, '203.0.113.7', '{}')).status, 403);
  assert.equal((await postFrom(service, '198.51.100.8', '{}')).status, 400, 'another source has a rate of its own');
  const withoutHeader = await openSocket(portOf(service));
  withoutHeader.write('GET / HTTP/1.1\r\n');
  await closed(withoutHeader);
  for (const [series, value] of [
    ['edgesentry_rate_limited_total{limit="source"}', 1],
    ['edgesentry_connection_refused_total{reason="proxy_header_missing"}', 1],
    // The test device's clock stands in 2023.
    ['edgesentry_record_clock_skew_flagged_total{direction="behind"}', 1],
  ] as const)
    assert.equal(await service.metric(series), value, series);
});

test('a device and a pod have rates, and an L7 proxy may speak for its clients', wait, async (t) => {
  const { databaseUrl, device } = await openSite(t);
  const args = ['--trusted-proxies=127.0.0.1', '--allowed-sources=198.51.100.7', '--limit-device=0.001:1'];
  await using service = await ServeProcess.start(t, databaseUrl, { args: [...args, '--limit-pod=0.001:3'] });
  const [first = '', second = ''] = device.nextBodies(2);
  const post = async (source: string, body: string) => {
    const headers = { 'Content-Type': 'application/json', 'X-Forwarded-For': source };
    return (await fetch(`${service.url}/api/v1/ingest`, { method: 'POST', headers, body })).status;
  };
  assert.equal(await post('198.51.100.8', first), 403);
  assert.equal(await post('198.51.100.7', first), 202);
  assert.equal(await post('198.51.100.7', second), 429);
  assert.equal(await service.metric('edgesentry_rate_limited_total{limit="device"}'), 1);
  assert.equal(await post('198.51.100.7', '{}'), 400);
  assert.equal(await post('198.51.100.7', second), 429);
  assert.equal(await service.metric('edgesentry_rate_limited_total{limit="pod"}'), 1);
});

test(
  'over TLS, what is no TLS and what opens too much is refused and counted, and the next is served',
  wait,
  async (t) => {
    const { databaseUrl } = await openSite(t);
    const { cert, key } = await serverCertificate();
    const secret = await MountedSecret.create(t, { 'tls.crt': cert, 'tls.key': key });
    const args = [
      `--tls-cert=${secret.path('tls.crt')}`,
      `--tls-key=${secret.path('tls.key')}`,
      '--connections-per-source-max=2',
    ];
    await using service = await ServeProcess.start(t, databaseUrl, { command: 'serve-tls', args });
    const refusedBy = (reason: string) => service.metric(`edgesentry_connection_refused_total{reason="${reason}"}`);
    const plain = await exchange(portOf(service), 'GET / HTTP/1.1\r\nHost: test\r\n\r\n');
    assert.deepEqual([plain.status, /use https/.test(plain.text)], [400, true]);
    const garbage = await openSocket(portOf(service));
    garbage.write('\0\0\0\0');
    await closed(garbage);
    const stranger = await openSocket(portOf(service));
    stranger.write('PROXY TCP4 198.51.100.7 192.0.2.1 50000 443\r\n');
    await closed(stranger);
    assert.deepEqual(
      await Promise.all(['plain_http', 'not_tls', 'proxy_header_from_stranger'].map(refusedBy)),
      [1, 1, 1],
    );
    const held = [await openSocket(portOf(service)), await openSocket(portOf(service))];
    await closed(await openSocket(portOf(service)));
    assert.equal(await refusedBy('too_many_connections_of_source'), 1);
    for (const socket of held) socket.destroy();
  },
);
