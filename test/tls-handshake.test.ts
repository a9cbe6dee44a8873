/** What reaches a TLS port besides sound clients: refused at the least cost, counted by reason, nobody else delayed. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { SourceAllowlist } from '../src/ingest/source-allowlist.ts';
import {
  assertServed,
  credentials,
  handshakeError,
  openTlsPort,
  refused,
  request,
  SwappableCertificates,
  tlsSocket,
  until,
  whoAmI,
} from './guarded-port.ts';
import { authority, serverCertificate } from './support/certificates.ts';
import { closed, exchange, openSocket } from './support/raw-http.ts';

/** A TLS record that announces a handshake message of 512 bytes, of which nothing follows. */
const beginningOfHello = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);

async function bytesUntilClose(socket: Socket): Promise<number> {
  let count = 0;
  socket.on('data', (chunk: Buffer) => {
    count += chunk.length;
  });
  await closed(socket);
  return count;
}

test('TLS 1.3 is preferred and TLS 1.2 is served, with RSA and with ECDSA', async () => {
  const rsa = await serverCertificate({ keyType: 'rsa2048' });
  for (const server of [{}, rsa]) {
    await using port = await openTlsPort({ certificates: new SwappableCertificates(await credentials(server)) });
    for (const [options, protocol] of [
      [{}, 'TLSv1.3'],
      [{ maxVersion: 'TLSv1.2' }, 'TLSv1.2'],
    ] as const) {
      const socket = await tlsSocket(port, options);
      assert.deepEqual([socket.getProtocol(), socket.alpnProtocol], [protocol, 'http/1.1']);
      assert.deepEqual(await whoAmI(socket), { address: '127.0.0.1', retired: false });
      socket.destroy();
    }
    assert.deepEqual(port.refusals, []);
  }
});

test('old versions, weak ciphers and other protocols are refused in the handshake', async (t) => {
  await using port = await openTlsPort();
  const legacy = { minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
  const cases = [
    ['TLS 1.0', { ...legacy, maxVersion: 'TLSv1' }, /PROTOCOL_VERSION/],
    ['TLS 1.1', { ...legacy, maxVersion: 'TLSv1.1' }, /PROTOCOL_VERSION/],
    ['CBC', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA' }, /HANDSHAKE_FAILURE/],
    ['no forward secrecy', { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' }, /HANDSHAKE_FAILURE/],
    ['h2 alone', { ALPNProtocols: ['h2'] }, /NO_APPLICATION_PROTOCOL/],
    ['a server that is not trusted', { ca: (await authority('Other CA')).cert }, /VERIFY|SELF_SIGNED|UNABLE/],
  ] as const;
  for (const [index, [what, options, error]] of cases.entries())
    await t.test(what, async () => {
      assert.match(
        await handshakeError(port, 'ALPNProtocols' in options ? { ...options, ALPNProtocols: ['h2'] } : options),
        error,
      );
      await refused(port, index + 1);
      assert.equal(port.refusals.at(-1), 'handshake_failed');
      await assertServed(port);
    });
});

test('plain HTTP on the TLS port is told to use https', async () => {
  await using port = await openTlsPort();
  for (const text of [request, 'POST /api/v1/ingest HTTP/1.1\r\n', 'PUT / HTTP/1.1\r\n']) {
    const { status, text: body } = await exchange(port.port, text);
    assert.deepEqual(
      [status, JSON.parse(body)],
      [400, { status: 'rejected', code: 'bad_http', error: 'this port speaks TLS: use https' }],
    );
  }
  assert.deepEqual(port.refusals, ['plain_http', 'plain_http', 'plain_http']);
  await assertServed(port);
});

test('garbage is hung up on, whether or not it begins like TLS', async () => {
  await using port = await openTlsPort();
  const garbage = [
    ['\0\x01\x02', 'not_tls'],
    ['\x80\x2e\x01\x03', 'not_tls'],
    ['\r\n\r\n?', 'not_tls'],
    ['\x16garbage garbage garbage', 'not_tls'],
    ['\x16\x03\x01\xff\xff garbage', 'handshake_failed'],
    ['\x16\x03\x01\0\x05\x01\x02\x03\x04\x05', 'handshake_failed'],
  ] as const;
  for (const [index, [bytes, reason]] of garbage.entries()) {
    const socket = await openSocket(port.port);
    socket.write(Buffer.from(bytes, 'latin1'));
    // Nothing, or an alert of OpenSSL.
    assert.ok((await bytesUntilClose(socket)) <= 7);
    await refused(port, index + 1);
    assert.equal(port.refusals.at(-1), reason, JSON.stringify(bytes));
    await assertServed(port);
  }
});

test('a handshake that stalls, trickles or never begins is cut off in time, and delays nobody', async () => {
  await using port = await openTlsPort({ handshakeTimeoutMs: 400 });
  const silent = await openSocket(port.port);
  const stalled = await openSocket(port.port);
  stalled.write(beginningOfHello);
  const trickling = await openSocket(port.port);
  trickling.setNoDelay(true);
  trickling.write(beginningOfHello);
  const trickle = setInterval(() => trickling.write('\0'), 20);
  trickling.once('close', () => clearInterval(trickle));
  const ends = [silent, stalled, trickling].map(bytesUntilClose);
  await assertServed(port);
  assert.deepEqual(port.refusals, [], 'the neighbour was served while they were waited for');
  assert.deepEqual(await Promise.all(ends), [0, 0, 0]);
  assert.deepEqual(port.refusals, ['handshake_timeout', 'handshake_timeout', 'handshake_timeout']);
});

test('a source that is not allowed gets no byte of a handshake', async () => {
  await using port = await openTlsPort({ acceptFrom: new SourceAllowlist(['127.0.0.1']) });
  const socket = connect({ host: '127.0.0.1', port: port.port, localAddress: '127.0.0.2' });
  socket.write(beginningOfHello);
  assert.equal(await bytesUntilClose(socket), 0);
  assert.deepEqual([port.refusals, port.addresses], [['source_not_allowed'], ['127.0.0.2']]);
  await assertServed(port);
});

test('renegotiation is refused', async () => {
  await using port = await openTlsPort();
  const socket = await tlsSocket(port, { maxVersion: 'TLSv1.2' });
  await whoAmI(socket);
  const outcome = new Promise<Error | null>((resolve) => {
    socket.on('error', resolve);
    socket.renegotiate({ rejectUnauthorized: true }, resolve);
  });
  assert.match(String(await outcome), /no.?renegotiation/i);
  socket.destroy();
  await assertServed(port);
});

test('idle connections stop at the cap, and those that are in go on being served', async () => {
  const cap = 2_000;
  await using port = await openTlsPort({ connectionsMax: cap, connectionsPerSourceMax: cap });
  const served = await tlsSocket(port);
  await whoAmI(served);
  const idle: Socket[] = [];
  for (let n = 1; n < cap; n += 1) idle.push(await openSocket(port.port));
  const open = () => `${port.connections.open} open`;
  await until(() => port.connections.open === cap, open);
  const startMs = performance.now();
  await whoAmI(served);
  assert.ok(performance.now() - startMs < 1_000, 'at once');
  assert.equal(await bytesUntilClose(await openSocket(port.port)), 0);
  assert.deepEqual(port.refusals, ['too_many_connections']);
  // One that ends makes room for the next.
  idle.pop()?.destroy();
  await until(() => port.connections.open < cap, open);
  await assertServed(port);
  for (const socket of [served, ...idle]) socket.destroy();
});

test('one source cannot take all connections', async () => {
  await using port = await openTlsPort({ connectionsPerSourceMax: 3 });
  const held = await Promise.all([1, 2, 3].map(() => openSocket(port.port)));
  const fourth = await openSocket(port.port);
  assert.equal(await bytesUntilClose(fourth), 0);
  assert.deepEqual(port.refusals, ['too_many_connections_of_source']);
  const elsewhere = connect({ host: '127.0.0.1', port: port.port, localAddress: '127.0.0.2' });
  const neighbour = await tlsSocket(port, { socket: elsewhere });
  assert.equal((await whoAmI(neighbour)).address, '127.0.0.2');
  for (const socket of [neighbour, ...held]) socket.destroy();
});

test('a draining port waits for nobody who has not asked for anything', async () => {
  await using port = await openTlsPort();
  const silent = await openSocket(port.port);
  const shaking = await openSocket(port.port);
  shaking.write(beginningOfHello);
  const idle = await tlsSocket(port);
  await whoAmI(idle);
  const ends = [silent, shaking, idle].map(bytesUntilClose);
  const startMs = performance.now();
  await port.listener.drain();
  await Promise.all(ends);
  assert.ok(performance.now() - startMs < 5_000);
});
