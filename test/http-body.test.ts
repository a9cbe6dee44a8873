/** The body of POST /api/v1/ingest: its size, its encoding, its type, and senders that do not finish it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { formatEnvelope } from '../src/record/format.ts';
import { assertRefused, assertStillAccepts, ingestRoute, post } from './support/post.ts';
import { answerDeadlineMs, exchange, firstAnswer, openSocket, postHead } from './support/raw-http.ts';
import { defaultEnvelopeBytesMax, recordCount, startService } from './support/service.ts';

test('a body over the limit gets 413, plain or once expanded, and one just below goes in', async (t) => {
  await using service = await startService(t);
  const device = await service.device('lift-01');
  const [envelopeAlone, limit] = [2048, defaultEnvelopeBytesMax];
  const fits = device.next(Buffer.alloc((limit - envelopeAlone) / 2));
  assert.equal((await post(service, formatEnvelope(fits))).status, 202);
  const bomb = gzipSync(Buffer.alloc(100 * limit, ' '));
  assert.ok(bomb.length < limit);
  const zipped = await post(service, bomb, { 'Content-Encoding': 'gzip' });
  assertRefused(zipped, 413, 'body_too_large', new RegExp(`larger than ${limit} bytes`));
  assertRefused(await post(service, Buffer.alloc(limit + 1, ' ')), 413, 'body_too_large', /larger than/);
  await assertStillAccepts(service, 'after-large');
});

test('a body that is too large is refused before it has all arrived, announced or not', async (t) => {
  await using service = await startService(t);
  const json = { 'Content-Type': 'application/json' };
  const chunk = `${(1024 * 1024).toString(16)}\r\n${' '.repeat(1024 * 1024)}\r\n`;
  for (const parts of [
    [postHead(ingestRoute, { ...json, 'Content-Length': 10 ** 12 })],
    [postHead(ingestRoute, { ...json, 'Content-Length': 10 ** 12, Expect: '100-continue' })],
    [postHead(ingestRoute, { ...json, 'Transfer-Encoding': 'chunked' }), chunk, chunk],
  ]) {
    const socket = await openSocket(service.port);
    for (const part of parts) socket.write(part);
    const { status, text } = await firstAnswer(socket);
    socket.destroy();
    assertRefused({ status, body: JSON.parse(text) }, 413, 'body_too_large', /larger than/);
  }
  await assertStillAccepts(service, 'after-endless');
});

test('a sender that writes all of a large body before it reads still sees why it was refused', async (t) => {
  await using service = await startService(t);
  const socket = await openSocket(service.port);
  const body = Buffer.alloc(64 * defaultEnvelopeBytesMax, ' ');
  socket.write(postHead(ingestRoute, { 'Content-Type': 'application/json', 'Content-Length': body.length }));
  await promisify<Buffer>(socket.write).call(socket, body);
  const { status } = await firstAnswer(socket);
  assert.equal(status, 413);
  // All of it has been taken, so the connection is as good as before.
  const device = await service.device('lift-01');
  const next = device.nextBody();
  socket.write(postHead(ingestRoute, { 'Content-Type': 'application/json', 'Content-Length': next.length }) + next);
  assert.equal((await firstAnswer(socket)).status, 202);
  socket.destroy();
});

test('a client that waits for 100 Continue is invited, and only then', async (t) => {
  await using service = await startService(t);
  const device = await service.device('lift-01');
  const body = device.nextBody();
  const socket = await openSocket(service.port);
  const head = { 'Content-Type': 'application/json', 'Content-Length': body.length, Expect: '100-continue' };
  socket.write(postHead(ingestRoute, head));
  const [invitation] = (await once(socket, 'data')) as [Buffer];
  assert.equal(invitation.toString(), 'HTTP/1.1 100 Continue\r\n\r\n');
  socket.write(body);
  assert.equal((await firstAnswer(socket)).status, 202);
  socket.destroy();
});

test('a broken gzip body gets 400, an unknown encoding 415', async (t) => {
  await using service = await startService(t);
  const device = await service.device('lift-01');
  const body = device.nextBody();
  const zipped = gzipSync(body);
  const truncated = zipped.subarray(0, zipped.length - 20);
  for (const broken of [Buffer.from(body), truncated])
    assertRefused(
      await post(service, broken, { 'Content-Encoding': 'gzip' }),
      400,
      'bad_http',
      /gzip|header check|end of file/,
    );
  assertRefused(
    await post(service, body, { 'Content-Encoding': 'compress' }),
    415,
    'unsupported_media_type',
    /compress/,
  );
  assert.equal((await post(service, body)).status, 202);
});

test('a wrong or missing content type gets 415 naming what is expected', async (t) => {
  await using service = await startService(t);
  const device = await service.device('lift-01');
  const body = device.nextBody();
  const wrong = await post(service, body, { 'Content-Type': 'text/plain' });
  assertRefused(wrong, 415, 'unsupported_media_type', /must be application\/json, got text\/plain/);
  const head = postHead(ingestRoute, { 'Content-Length': body.length, Connection: 'close' });
  const none = await exchange(service.port, head, body);
  assertRefused({ ...none, body: JSON.parse(none.text) }, 415, 'unsupported_media_type', /got none/);
  // No body at all: it is the JSON that is missing.
  const empty = await exchange(
    service.port,
    postHead(ingestRoute, { 'Content-Type': 'application/json', Connection: 'close' }),
  );
  assertRefused({ ...empty, body: JSON.parse(empty.text) }, 400, 'malformed_json', /too early/);
  assert.equal((await post(service, body, { 'Content-Type': 'Application/JSON; charset=utf-8' })).status, 202);
});

test('a client that goes away in the middle of its body leaves nothing behind', async (t) => {
  await using service = await startService(t);
  const device = await service.device('lift-01');
  const body = device.nextBody();
  const socket = await openSocket(service.port);
  socket.write(postHead(ingestRoute, { 'Content-Type': 'application/json', 'Content-Length': body.length }));
  await new Promise((resolve) => socket.write(body.slice(0, 100), resolve));
  socket.destroy();
  assert.equal((await post(service, body)).status, 202);
  assert.deepEqual(service.errors, []);
});

test('a client that closes its side too early loses the answer at most: sending again tells', async (t) => {
  await using service = await startService(t);
  const device = await service.device('lift-01');
  const body = device.nextBody();
  const socket = await openSocket(service.port);
  socket
    .resume()
    .end(postHead(ingestRoute, { 'Content-Type': 'application/json', 'Content-Length': body.length }) + body);
  await once(socket, 'close', { signal: AbortSignal.timeout(answerDeadlineMs) });
  const again = await post(service, body);
  assert.ok(again.status === 202 || again.body.identical === true, JSON.stringify(again.body));
  assert.equal(await recordCount(service.pool, 'lift-01'), 1);
});

test('I7 bounded: bodies that are being read have a bound together: past it the next is told to come later, and then it may', async (t) => {
  const mebibyte = 1024 * 1024;
  await using service = await startService(t, { envelopeBytesMax: 32 * mebibyte });
  const device = await service.device('lift-01');
  const unfinished = Buffer.alloc(31 * mebibyte, ' ');
  const head = { 'Content-Type': 'application/json', 'Content-Length': unfinished.length + 1 };
  const held = await Promise.all([1, 2].map(() => openSocket(service.port)));
  for (const socket of held) {
    socket.write(postHead(ingestRoute, head));
    // Resolves when all but what the two sockets' buffers hold has been read.
    await new Promise((resolve) => socket.write(unfinished, resolve));
  }
  const another = () => post(service, gzipSync(Buffer.alloc(20 * mebibyte, ' ')), { 'Content-Encoding': 'gzip' });
  const refused = await another();
  assert.deepEqual([refused.status, refused.body.code, refused.headers.get('retry-after')], [503, 'overloaded', '1']);
  for (const socket of held) socket.destroy();
  const deadlineMs = Date.now() + answerDeadlineMs;
  let answer = await another();
  while (answer.status === 503 && Date.now() < deadlineMs) answer = await another();
  assertRefused(answer, 400, 'malformed_json', /JSON/);
  assert.equal((await post(service, device.nextBody())).status, 202);
});
