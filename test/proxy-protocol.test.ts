/** PROXY protocol from balancers, and from those who would like to be one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SourceAllowlist } from '../src/ingest/source-allowlist.ts';
import { assertServed, openPort, openTlsPort, refused, request, tlsSocket, whoAmI } from './guarded-port.ts';
import { answerUntilClose, exchange, openSocket } from './support/raw-http.ts';

const sources = (...entries: string[]) => new SourceAllowlist(entries);
const balancer = { proxyProtocolFrom: sources('127.0.0.1') };
const header = (source: string) => `PROXY TCP4 ${source} 127.0.0.1 4711 8443\r\n`;
const binaryHeader = (command: 0x20 | 0x21, source: readonly number[]) =>
  Buffer.concat([
    Buffer.from('\r\n\r\n\0\r\nQUIT\n'),
    Buffer.from([command, 0x11, 0, 17]),
    Buffer.from([...source, 127, 0, 0, 1, 18, 103, 32, 251]),
    // A TLV that nobody here knows.
    Buffer.from([0xe0, 0, 2, 1, 2]),
  ]);

/** Writes `bytes` and tells who the app takes the client to be. */
async function whoIs(port: number, ...parts: readonly (string | Buffer)[]): Promise<Record<string, unknown>> {
  const socket = await openSocket(port);
  for (const part of parts) socket.write(part);
  const who = await whoAmI(socket);
  socket.destroy();
  return who;
}

test('behind a balancer the device is who the PROXY header names, in either version', async () => {
  await using port = await openPort({ ...balancer, acceptFrom: sources('192.0.2.0/24') });
  assert.equal((await whoIs(port.port, header('192.0.2.7'))).address, '192.0.2.7');
  assert.equal((await whoIs(port.port, binaryHeader(0x21, [192, 0, 2, 8]))).address, '192.0.2.8');
  assert.deepEqual(port.refusals, []);
});

test('a header that comes byte by byte, or together with the request, is the same header', async () => {
  await using port = await openPort({ ...balancer, acceptFrom: sources('192.0.2.0/24') });
  const socket = await openSocket(port.port);
  socket.setNoDelay(true);
  for (const byte of binaryHeader(0x21, [192, 0, 2, 8])) {
    socket.write(Buffer.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal((await whoAmI(socket)).address, '192.0.2.8');
  socket.destroy();
  const close = request.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n');
  // More than a socket's buffer holds: what is behind the header must arrive whole and in order.
  const together = await exchange(port.port, header('192.0.2.7') + request.repeat(2_000) + close);
  assert.equal(together.text.match(/192\.0\.2\.7/g)?.length, 2_001);
});

test("a balancer's own health check is let in, and is known by the balancer's address", async () => {
  await using port = await openPort({ ...balancer, acceptFrom: sources('192.0.2.0/24') });
  assert.equal((await whoIs(port.port, binaryHeader(0x20, [0, 0, 0, 0]))).address, '127.0.0.1');
  assert.equal((await whoIs(port.port, 'PROXY UNKNOWN\r\n')).address, '127.0.0.1');
  const silent = await openSocket(port.port);
  silent.end();
  await answerUntilClose(silent).catch(() => {});
  assert.deepEqual(port.refusals, [], 'a probe that connects and leaves is refused nothing');
});

test('TLS behind a balancer: the named source is judged before the handshake', async () => {
  await using port = await openTlsPort({ ...balancer, acceptFrom: sources('192.0.2.0/24') });
  for (const [source, admitted] of [
    ['192.0.2.7', true],
    ['203.0.113.9', false],
  ] as const) {
    const raw = await openSocket(port.port);
    raw.write(header(source));
    if (admitted) {
      const secure = await tlsSocket(port, { socket: raw });
      assert.equal((await whoAmI(secure)).address, source);
      secure.destroy();
    } else {
      await assert.rejects(tlsSocket(port, { socket: raw }));
      await refused(port, 1);
    }
  }
  assert.deepEqual([port.refusals, port.addresses], [['source_not_allowed'], ['203.0.113.9']]);
});

for (const tls of [false, true])
  test(`a balancer ${tls ? 'with TLS behind it ' : ''}that says nothing, nonsense or too little is refused`, async () => {
    await using port = await (tls ? openTlsPort : openPort)({ ...balancer, proxyHeaderDeadlineMs: 200 });
    const cases = [
      [request, 'proxy_header_missing'],
      ['PROXY TCP4 somewhere 127.0.0.1 1 2\r\n', 'proxy_header_malformed'],
      [`PROXY TCP4 ${'1'.repeat(200)}`, 'proxy_header_malformed'],
      ['PROXY TCP4 192.0.2.7', 'proxy_header_timeout'],
      ['', 'proxy_header_timeout'],
    ] as const;
    for (const [index, [bytes, reason]] of cases.entries()) {
      const socket = await openSocket(port.port);
      socket.on('error', () => {}).resume();
      if (bytes !== '') socket.write(bytes);
      if (!tls) assert.equal((await whoIs(port.port, header('127.0.0.2'))).address, '127.0.0.2');
      await refused(port, index + 1);
      assert.equal(port.refusals.at(-1), reason, JSON.stringify(bytes));
      assert.equal(port.addresses.at(-1), '127.0.0.1');
    }
  });

for (const [version, bytes] of [
  ['version 1', Buffer.from(header('192.0.2.7'))],
  ['version 2', binaryHeader(0x21, [192, 0, 2, 7])],
] as const) {
  test(`a PROXY header (${version}) from a stranger names nobody: TLS hangs up, HTTP answers 400`, async () => {
    await using secure = await openTlsPort();
    const raw = await openSocket(secure.port);
    raw.on('error', () => {}).resume();
    raw.write(bytes);
    await refused(secure, 1);
    await assertServed(secure);
    assert.deepEqual(secure.refusals, ['proxy_header_from_stranger']);

    await using plain = await openPort();
    const answer = await exchange(plain.port, Buffer.concat([bytes, Buffer.from(request)]));
    assert.deepEqual([answer.status, plain.refusals], [400, ['proxy_header_from_stranger']]);
    await assertServed(plain, 'plain');
  });
}

test('one source behind a balancer cannot take the connections of the others', async () => {
  await using port = await openPort({ ...balancer, acceptFrom: sources('192.0.2.0/24'), connectionsPerSourceMax: 2 });
  const held = [];
  for (let n = 0; n < 2; n += 1) {
    const socket = await openSocket(port.port);
    socket.write(header('192.0.2.7'));
    await whoAmI(socket);
    held.push(socket);
  }
  const third = await openSocket(port.port);
  third.on('error', () => {}).resume();
  third.write(header('192.0.2.7'));
  await refused(port, 1);
  assert.deepEqual([port.refusals, port.addresses], [['too_many_connections_of_source'], ['192.0.2.7']]);
  assert.equal((await whoIs(port.port, header('192.0.2.8'))).address, '192.0.2.8');
  for (const socket of held) socket.destroy();
});
