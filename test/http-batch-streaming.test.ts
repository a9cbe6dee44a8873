/** POST /api/v1/ingest/batch as a stream: verdicts while it is sent, clients that stall or leave, bounded memory. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { RateLimits } from '../src/ingest/rate-limits.ts';
import { SourceAllowlist } from '../src/ingest/source-allowlist.ts';
import { httpApp } from '../src/transport/http/app.ts';
import { listen } from '../src/transport/http/server.ts';
import {
  batchRoute,
  ndjson,
  outcome,
  outcomes,
  postBatch,
  times,
  type Verdict,
  verdictsOf,
} from './support/post-batch.ts';
import { createTestDatabase } from './support/postgres.ts';
import { answerDeadlineMs, openSocket, postHead } from './support/raw-http.ts';
import { ServeProcess } from './support/serve-process.ts';
import { defaultEnvelopeBytesMax, recordCount, silentRequests, startService, TestDevice } from './support/service.ts';

/** A batch whose lines are written, and whose verdicts are read, one by one. */
async function openBatch(url: string): Promise<{ outgoing: ClientRequest; incoming: IncomingMessage }> {
  const outgoing = request(url + batchRoute, { method: 'POST', headers: ndjson });
  outgoing.flushHeaders();
  const [incoming] = (await once(outgoing, 'response', { signal: AbortSignal.timeout(answerDeadlineMs) })) as [
    IncomingMessage,
  ];
  return { outgoing, incoming };
}

test('a verdict comes while the batch is still being sent, so that a device can pipe', async (t) => {
  await using service = await startService(t);
  const device = await service.device('lift-01');
  const { outgoing, incoming } = await openBatch(service.url);
  const verdicts = createInterface({ input: incoming })[Symbol.asyncIterator]();
  for (let line = 0; line < 5; line++) {
    outgoing.write(`${device.nextBody()}\n`);
    const { value } = await verdicts.next();
    assert.equal(outcome(JSON.parse(String(value)) as Verdict), 'accepted');
  }
  outgoing.end();
  assert.equal((await verdicts.next()).done, true);
});

test('a client that goes away in the middle keeps what was judged, and can send the batch again', async (t) => {
  await using service = await startService(t);
  const device = await service.device('lift-01');
  const lines = device.nextBodies(6);
  const { outgoing, incoming } = await openBatch(service.url);
  outgoing.on('error', () => {});
  incoming.on('error', () => {});
  outgoing.write(`${lines.slice(0, 3).join('\n')}\n${lines[3]?.slice(0, 50)}`);
  await once(incoming, 'data');
  outgoing.destroy();
  const again = outcomes(await postBatch(service.url, lines.join('\n')));
  assert.deepEqual(again, [...times(3, 'identical'), ...times(3, 'accepted')]);
  assert.deepEqual(service.errors, []);
});

test('a client whose certificate is revoked stores nothing more on the batch that it has open, and loses the connection', async (t) => {
  await using service = await startService(t);
  const device = await service.device('lift-01');
  const peer = { address: '127.0.0.1', identities: undefined, retired: false };
  const rates = { source: undefined, device: undefined, pod: undefined, refused: undefined };
  const app = httpApp({
    ingest: service.ingest,
    limits: new RateLimits({ ...rates, now: () => performance.now() }),
    observer: silentRequests,
    peerOf: () => peer,
    allowedSources: new SourceAllowlist(['127.0.0.1']),
    trustedProxies: new SourceAllowlist([]),
    envelopeBytesMax: defaultEnvelopeBytesMax,
    draining: () => false,
    onError: (error) => service.errors.push(error),
  });
  const listener = await listen(app, { host: '127.0.0.1', port: 0 });
  t.after(() => {
    listener.destroy();
    return listener.drain();
  });
  const { outgoing, incoming } = await openBatch(`http://127.0.0.1:${listener.address.port}`);
  const verdicts = createInterface({ input: incoming })[Symbol.asyncIterator]();
  const next = async () => outcome(JSON.parse(String((await verdicts.next()).value)) as Verdict);
  outgoing.write(`${device.nextBody()}\n`);
  assert.equal(await next(), 'accepted');
  peer.retired = true;
  const { socket } = incoming;
  outgoing.end(device.nextBodies(2).join('\n'));
  assert.deepEqual([await next(), await next()], ['draining', 'draining']);
  assert.equal((await verdicts.next()).done, true);
  if (!socket.closed) await once(socket, 'close', { signal: AbortSignal.timeout(answerDeadlineMs) });
  assert.equal(await recordCount(service.pool, 'lift-01'), 1);
  assert.deepEqual(service.errors, []);
});

/** Refused at once, and answered at some length: the answers soon fill what the sockets on the way hold. */
const wordyLine = `${`{"${'k'.repeat(64)}":1,"${'k'.repeat(64)}":2}`.padEnd(500)}\n`;
/** As many as one batch may have, nearly; 45 MB. */
const wordyLinesMax = 90_000;

/** Writes until the server has taken no more for a while. */
async function writeUntilStalled(write: (text: string) => boolean, drained: () => Promise<unknown>): Promise<number> {
  const lines = 1000;
  for (let written = 0; written < wordyLinesMax; written += lines) {
    if (write(wordyLine.repeat(lines))) continue;
    const stalled = new Promise((resolve) => setTimeout(resolve, 500, 'stalled'));
    if ((await Promise.race([drained(), stalled])) === 'stalled') return written + lines;
  }
  return wordyLinesMax;
}

test('a client that does not read is not read from either; once it reads, every answer arrives', async (t) => {
  await using service = await startService(t);
  const { outgoing, incoming } = await openBatch(service.url);
  // Paused from the start: nobody listens for data.
  const socket = incoming.socket;
  socket.pause();
  const written = await writeUntilStalled(
    (text) => outgoing.write(text),
    () => once(outgoing, 'drain'),
  );
  assert.ok(written < wordyLinesMax, `the server took all ${written} lines`);
  outgoing.end();
  let text = '';
  for await (const chunk of incoming.setEncoding('utf8')) text += chunk;
  const verdicts = verdictsOf(text);
  assert.equal(verdicts.length, written);
  assert.deepEqual([...new Set(outcomes(verdicts))], ['malformed_json']);
});

test('a batch of too many lines is told so after the answers of the first 100,000', { timeout: 120_000 }, async (t) => {
  await using service = await startService(t);
  const verdicts = await postBatch(service.url, '{}\n'.repeat(100_500));
  assert.equal(verdicts.length, 100_001);
  assert.equal(verdicts.at(-1)?.code, 'body_too_large');
  assert.match(verdicts.at(-1)?.error ?? '', /at most 100000 lines/);
});

test('after an endless header-only batch the server still answers others', async (t) => {
  await using service = await startService(t);
  const socket = await openSocket(service.port);
  socket.write(postHead(batchRoute, { ...ndjson, 'Content-Length': 10 ** 9 }));
  await once(socket, 'data');
  const device = await service.device('lift-01');
  assert.deepEqual(outcomes(await postBatch(service.url, device.nextBody())), ['accepted']);
  socket.destroy();
});

/**
 * The service at rest takes some 135 MB, and what is in flight is bounded by 48 MB of payloads with their encodings and
 * segments. A service that kept the batch would need its 20 MB several times over: as lines, as payloads, as rows.
 */
const residentBytesMax = 250e6;
const batchBytes = 20e6;

test('20 MB in one batch go through a service whose memory stays bounded', { timeout: 120_000 }, async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t);
  const device = new TestDevice('lift-01');
  const key = `--device=lift-01=${device.key.publicKey.toString('hex')}`;
  await using service = await ServeProcess.start(t, databaseUrl, { args: [key, '--payload-layout=segment'] });
  const payload = Buffer.alloc(16 * 1024, 'payload ');
  const lines: string[] = [];
  for (let bytes = 0; bytes < batchBytes; bytes += lines.at(-1)?.length ?? 0) lines.push(device.nextBody(payload));
  const restBytes = await service.residentBytes();
  let peakBytes = 0;
  const answer = postBatch(service.url, lines.join('\n'));
  const done = answer.then(() => true);
  do peakBytes = Math.max(peakBytes, await service.residentBytes());
  while (!(await Promise.race([done, new Promise((resolve) => setTimeout(resolve, 20, false))])));
  assert.deepEqual([...new Set(outcomes(await answer))], ['accepted']);
  t.diagnostic(
    `${Math.round(restBytes / 1e6)} MB at rest, peak ${Math.round(peakBytes / 1e6)} MB over ${lines.length} records`,
  );
  assert.ok(peakBytes < residentBytesMax, `${peakBytes} bytes resident`);
  assert.equal(await service.stop(), 0);
});
