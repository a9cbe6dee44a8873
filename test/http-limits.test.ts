/** What one sender may ask of a replica: past it 429, for itself alone, at little cost, and not for longer than it must. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { json } from 'node:stream/consumers';
import { test } from 'node:test';
import { Backoff } from '../src/device/backoff.ts';
import { deliver } from '../src/device/delivery.ts';
import { IngestClient } from '../src/device/ingest-client.ts';
import type { Ledger } from '../src/ingest/ports.ts';
import { formatEnvelope } from '../src/record/format.ts';
import { ingestRoute } from './support/post.ts';
import { batchRoute, ndjson, outcomes, postBatch, times, type Verdict, verdictsOf } from './support/post-batch.ts';
import { answerDeadlineMs, exchange, firstAnswer, openSocket, postHead } from './support/raw-http.ts';
import { recordCount, type ServiceOptions, startService, TestDevice, type TestService } from './support/service.ts';

/** Two hosts, as far as a server on loopback can tell. */
const [here, there] = ['127.0.0.2', '127.0.0.3'];
const jsonType = { 'Content-Type': 'application/json' };
/** Of which nothing comes back while a test runs. */
const allowance = (burst: number) => ({ perSecond: 0.001, burst });

type Asked = { readonly from: string; readonly path?: string };
type Answer = Omit<Verdict, 'status'> & {
  readonly status: number | undefined;
  readonly retryAfter: string | undefined;
  readonly retry_after_seconds?: number;
};

/** POSTs `body`, or GETs `path` where there is none, from an address of the caller's choice. */
async function ask(
  service: TestService,
  body: string | undefined,
  { from, path = ingestRoute }: Asked,
): Promise<Answer> {
  const asked = request(service.url + path, {
    method: body === undefined ? 'GET' : 'POST',
    localAddress: from,
    headers: jsonType,
    signal: AbortSignal.timeout(answerDeadlineMs),
  });
  asked.end(body);
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  const verdict = (await json(response)) as Verdict;
  return { ...verdict, status: response.statusCode, retryAfter: response.headers['retry-after'] };
}

async function startLimited(t: Parameters<typeof startService>[0], options: ServiceOptions) {
  const clock = { nowMs: 0 };
  const limits = { now: () => clock.nowMs, ...options.limits };
  const service = await startService(t, { allowedSources: ['127.0.0.0/8'], ...options, limits });
  return Object.assign(service, { clock });
}

const summary = ({ status, code }: Answer) => `${status} ${code}`;
const limited = '429 rate_limited';

/** Counts what reaches the ledger. */
function countingLedger() {
  const calls = { count: 0 };
  const counted = <T>(call: T): T => {
    calls.count++;
    return call;
  };
  const wrapLedger = (ledger: Ledger): Ledger => ({
    commit: (batch) => counted(ledger.commit(batch)),
    readHeads: (ids) => counted(ledger.readHeads(ids)),
    readRecordHashes: (places) => counted(ledger.readRecordHashes(places)),
  });
  return { calls, wrapLedger };
}

test('a source that floods is told when to come back, while another is answered, and recovers by itself', async (t) => {
  await using service = await startLimited(t, { limits: { source: { perSecond: 0.5, burst: 2 } } });
  const device = await service.device('lift-01');
  const [first = '', second = '', third = '', fourth = ''] = device.nextBodies(4);
  assert.equal((await ask(service, first, { from: here })).status, 202);
  assert.equal((await ask(service, second, { from: here })).status, 202);
  const refused = await ask(service, third, { from: here });
  assert.equal(summary(refused), limited);
  assert.equal(refused.retryAfter, '2');
  assert.equal((await ask(service, third, { from: there })).status, 202);
  service.clock.nowMs = 1999;
  assert.deepEqual(await ask(service, fourth, { from: here }), { ...refused, retryAfter: '1', retry_after_seconds: 1 });
  service.clock.nowMs = 2000;
  assert.equal((await ask(service, fourth, { from: here })).status, 202);
});

test('a sender that was too fast keeps its connection, and need not have sent its body', async (t) => {
  await using service = await startLimited(t, { limits: { source: { perSecond: 1, burst: 1 } } });
  const device = await service.device('lift-01');
  const [first, second] = [device.nextBody(), device.nextBody(Buffer.alloc(20_000))];
  const socket = await openSocket(service.port);
  const head = (body: string) => postHead(ingestRoute, { ...jsonType, 'Content-Length': body.length });
  socket.write(head(first) + first);
  assert.equal((await firstAnswer(socket)).status, 202);
  socket.write(head(second));
  const refused = await firstAnswer(socket);
  assert.deepEqual([refused.status, refused.headers.get('connection')], [429, 'keep-alive']);
  service.clock.nowMs = 1000;
  socket.write(second + head(second) + second);
  assert.equal((await firstAnswer(socket)).status, 202);
  socket.destroy();
});

test('a large body, one of unknown size, or one that waits for an invitation is not taken to be dropped', async (t) => {
  await using service = await startLimited(t, { limits: { pod: allowance(1) } });
  const device = await service.device('lift-01');
  assert.equal((await ask(service, device.nextBody(), { from: here })).status, 202);
  for (const headers of [
    { 'Content-Length': 64 * 1024 + 1 },
    { 'Transfer-Encoding': 'chunked' },
    { 'Content-Length': 100, Expect: '100-continue' },
  ]) {
    const { status, headers: answered } = await exchange(
      service.port,
      postHead(ingestRoute, { ...jsonType, ...headers }),
    );
    assert.deepEqual([status, answered.get('connection')], [429, 'close'], JSON.stringify(headers));
  }
});

test('a flood of unknown devices or forged signatures soon costs neither a signature check nor the ledger anything', async (t) => {
  const { calls, wrapLedger } = countingLedger();
  await using service = await startLimited(t, { wrapLedger, limits: { refused: allowance(5) } });
  const known = await service.device('lift-01');
  const forger = new TestDevice('lift-01');
  const stranger = new TestDevice('stranger');
  for (const [flood, from, code] of [
    [stranger, here, 'unknown_device'],
    [forger, there, 'invalid_signature'],
  ] as const) {
    for (let i = 0; i < 5; i++) assert.equal((await ask(service, flood.nextBody(), { from })).code, code);
    const before = calls.count;
    for (let i = 0; i < 50; i++) assert.equal(summary(await ask(service, flood.nextBody(), { from })), limited);
    assert.equal(calls.count, before);
  }
  assert.equal((await ask(service, known.nextBody(), { from: '127.0.0.4' })).status, 202);
});

test('requests that never become a record are held against their source as well, once each', async (t) => {
  await using service = await startLimited(t, { limits: { refused: allowance(4) } });
  const device = await service.device('lift-01');
  const nowhere = { from: here, path: '/nowhere' };
  const noHead = { from: here, path: '/api/v1/devices/nobody/head' };
  const answers = [
    await ask(service, '{', { from: here }),
    await ask(service, '{}', { from: here }),
    await ask(service, undefined, nowhere),
    await ask(service, undefined, noHead),
    await ask(service, undefined, noHead),
    await ask(service, device.nextBody(), { from: here }),
  ];
  assert.deepEqual(answers.map(summary), [
    '400 malformed_json',
    '400 invalid_field',
    '404 not_found',
    '404 not_found',
    limited,
    limited,
  ]);
});

test('lines of a batch that are no records are held against their source, once each', async (t) => {
  await using service = await startLimited(t, { limits: { refused: allowance(3) } });
  const verdicts = await postBatch(service.url, '[]\n{}\n[]\n[]\n[]\n');
  assert.deepEqual(outcomes(verdicts), [...times(3, 'invalid_field'), ...times(2, 'rate_limited')]);
});

test('questions for a head count as records do, the API document does not', async (t) => {
  await using service = await startLimited(t, { limits: { source: allowance(2) } });
  await service.device('lift-01');
  const head = { from: here, path: '/api/v1/devices/lift-01/head' };
  for (let i = 0; i < 2; i++) assert.equal((await ask(service, undefined, head)).status, 200);
  assert.equal(summary(await ask(service, undefined, head)), limited);
  assert.equal((await ask(service, undefined, { from: here, path: '/openapi.json' })).status, 200);
});

test("a device's rate is its own wherever it sends from, and nobody else can use it up", async (t) => {
  await using service = await startLimited(t, { limits: { device: { perSecond: 1, burst: 2 } } });
  const [device, other] = [await service.device('lift-01'), await service.device('lift-02')];
  const forger = new TestDevice('lift-01');
  for (let i = 0; i < 10; i++)
    assert.equal((await ask(service, forger.nextBody(), { from: there })).code, 'invalid_signature');
  const [first = '', second = '', third = ''] = device.nextBodies(3);
  assert.equal((await ask(service, first, { from: here })).status, 202);
  assert.equal((await ask(service, second, { from: there })).status, 202);
  const refused = await ask(service, third, { from: '127.0.0.4' });
  assert.deepEqual([summary(refused), refused.retryAfter], [limited, '1']);
  assert.equal((await ask(service, other.nextBody(), { from: here })).status, 202);
  service.clock.nowMs = 1000;
  assert.equal((await ask(service, third, { from: here })).status, 202);
});

test("the replica's own rate holds for all sources together", async (t) => {
  await using service = await startLimited(t, { limits: { pod: { perSecond: 1, burst: 2 } } });
  const device = await service.device('lift-01');
  const [first = '', second = '', third = ''] = device.nextBodies(3);
  assert.equal((await ask(service, first, { from: here })).status, 202);
  assert.equal((await ask(service, second, { from: there })).status, 202);
  assert.equal(summary(await ask(service, third, { from: '127.0.0.4' })), limited);
  service.clock.nowMs = 1000;
  assert.equal((await ask(service, third, { from: '127.0.0.4' })).status, 202);
});

test('a batch larger than the rate takes its time and loses no line', async (t) => {
  const now = () => performance.now();
  const [rate, lines] = [{ perSecond: 200, burst: 10 }, 60];
  for (const limit of ['source', 'device', 'pod'] as const) {
    await using service = await startLimited(t, { limits: { now, [limit]: rate } });
    const device = await service.device('lift-01');
    const startMs = now();
    const verdicts = await postBatch(service.url, device.nextBodies(lines).join('\n'));
    assert.deepEqual(outcomes(verdicts), times(lines, 'accepted'), limit);
    assert.ok(now() - startMs >= ((lines - rate.burst) * 1000) / rate.perSecond - 1, limit);
  }
});

test('a batch that would wait too long is told so for the rest of its lines, and goes on from there', async (t) => {
  await using service = await startLimited(t, { limits: { source: { perSecond: 0.02, burst: 2 } } });
  const device = await service.device('lift-01');
  const bodies = device.nextBodies(5);
  const verdicts = await postBatch(service.url, bodies.join('\n'));
  assert.deepEqual(outcomes(verdicts), [...times(2, 'accepted'), ...times(3, 'rate_limited')]);
  assert.deepEqual(verdicts[4], { ...verdicts[2], retry_after_seconds: 50 });
  service.clock.nowMs = 100_000;
  assert.deepEqual(outcomes(await postBatch(service.url, bodies.slice(2, 4).join('\n'))), times(2, 'accepted'));
});

test('behind a line that its device has no rate left for, none of its others is judged, and those of another are', async (t) => {
  await using service = await startLimited(t, { limits: { device: { perSecond: 0.02, burst: 2 } } });
  const [device, other] = [await service.device('lift-01'), await service.device('lift-02')];
  for (const body of device.nextBodies(2)) assert.equal((await ask(service, body, { from: here })).status, 202);
  const lines = [device.nextBody(), other.nextBody(), device.nextBody(), other.nextBody()];
  const expected = ['rate_limited', 'accepted', 'rate_limited', 'accepted'];
  assert.deepEqual(outcomes(await postBatch(service.url, lines.join('\n'))), expected);
  assert.equal(await recordCount(service.pool, 'lift-01'), 2);
});

test("a device below its batches' pace gets all of it in: no attempt waits for long, and none is in vain", async (t) => {
  const now = () => performance.now();
  await using service = await startLimited(t, { limits: { now, device: { perSecond: 16, burst: 16 } } });
  const device = await service.device('lift-01');
  const { signal } = new AbortController();
  const client = new IngestClient({ url: new URL(service.url), signal });
  const attempts: { lines: number; ms: number }[] = [];
  const sendBatch = async (lines: readonly string[]) => {
    const startMs = now();
    const answers = await client.sendBatch(lines);
    attempts.push({ lines: lines.length, ms: now() - startMs });
    return answers;
  };
  const backoff = new Backoff({ attempts: 2, signal });
  const sending = { client: { send: (line: string) => client.send(line), sendBatch }, backoff, single: false };
  assert.deepEqual(await deliver(device.nextBodies(200), sending), { delivered: 200, refusals: [] });
  assert.ok(attempts.length > 1 && (attempts[1]?.lines ?? 200) < 60, JSON.stringify(attempts));
  for (const { ms } of attempts) assert.ok(ms < 15_000, `${ms} ms`);
});

test('a device that waits for its rate holds up no other in its batch', async (t) => {
  await using service = await startLimited(t, { limits: { device: { perSecond: 0.2, burst: 3 } } });
  const [wild, calm] = [await service.device('wild'), await service.device('calm')];
  for (const body of wild.nextBodies(3)) assert.equal((await ask(service, body, { from: here })).status, 202);
  const batch = postBatch(service.url, [...wild.nextBodies(3), calm.nextBody()].join('\n'));
  assert.equal(await Promise.race([batch, untilStored(service, 'calm')]), 'stored');
  assert.equal(await recordCount(service.pool, 'wild'), 3);
  service.clock.nowMs = 15_000;
  assert.deepEqual(outcomes(await batch), times(4, 'accepted'));
});

/** Looks for as long as a token of the test above is awaited, about. */
async function untilStored(service: TestService, deviceId: string): Promise<'stored' | 'late'> {
  for (const startMs = performance.now(); performance.now() - startMs < 4000; )
    if ((await recordCount(service.pool, deviceId)) > 0) return 'stored';
  return 'late';
}

test("a batch that is sent again takes nothing of its device's rate, but of its source's", async (t) => {
  const limits = { device: allowance(4), source: allowance(12) };
  await using service = await startLimited(t, { limits });
  const device = await service.device('lift-01');
  const lines = device.nextBodies(3).join('\n');
  assert.deepEqual(outcomes(await postBatch(service.url, lines)), times(3, 'accepted'));
  for (let again = 0; again < 2; again++)
    assert.deepEqual(outcomes(await postBatch(service.url, lines)), times(3, 'identical'));
  assert.deepEqual(outcomes(await postBatch(service.url, device.nextBody())), ['accepted']);
  assert.deepEqual(outcomes(await postBatch(service.url, lines)), times(3, 'rate_limited'));
});

test('of a source that had too much refused nothing is read, whatever it asks for', async (t) => {
  await using service = await startLimited(t, { limits: { refused: allowance(1), source: allowance(50) } });
  assert.equal(summary(await ask(service, '{', { from: '127.0.0.1' })), '400 malformed_json');
  const put = (path: string) => `PUT ${path} HTTP/1.1\r\nHost: eds\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`;
  const openBatch = { ...ndjson, 'Transfer-Encoding': 'chunked' };
  const announced = { ...jsonType, 'Content-Length': 0, Connection: 'close' };
  for (const asked of [
    put('/nowhere'),
    put(ingestRoute),
    put(batchRoute),
    put('/openapi.json'),
    postHead(batchRoute, announced),
    postHead(batchRoute, openBatch),
  ]) {
    const { status, text } = await exchange(service.port, asked);
    assert.deepEqual([status, JSON.parse(text).code], [429, 'rate_limited'], asked);
  }
});

test('a batch that waits for its rate does not hold up a replica that is to stop', async (t) => {
  const state = { draining: false };
  const limits = { now: () => performance.now(), source: { perSecond: 0.2, burst: 1 } };
  await using service = await startLimited(t, { limits, draining: () => state.draining });
  const device = await service.device('lift-01');
  const asked = request(service.url + batchRoute, { method: 'POST', headers: ndjson });
  asked.end(device.nextBodies(2).join('\n'));
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  let text = '';
  const startMs = performance.now();
  for await (const chunk of response) {
    text += chunk;
    state.draining = true;
  }
  assert.deepEqual(outcomes(verdictsOf(text)), ['accepted', 'draining']);
  assert.ok(performance.now() - startMs < 4000, 'the token alone would have taken five seconds');
});

test('a full replica says so before it has read the body', async (t) => {
  const released = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  const wrapLedger = (ledger: Ledger): Ledger => ({
    commit: async (batch) => {
      entered.resolve();
      await released.promise;
      return ledger.commit(batch);
    },
    readHeads: (ids) => ledger.readHeads(ids),
    readRecordHashes: (places) => ledger.readRecordHashes(places),
  });
  await using service = await startLimited(t, { wrapLedger, bounds: { recordsInFlightMax: 1 } });
  const device = await service.device('lift-01');
  const inFlight = ask(service, formatEnvelope(device.next()), { from: here });
  await entered.promise;
  const socket = await openSocket(service.port);
  socket.write(postHead(ingestRoute, { ...jsonType, 'Content-Length': 1000 }));
  const { status, text } = await firstAnswer(socket);
  assert.deepEqual([status, JSON.parse(text).code], [503, 'overloaded']);
  socket.destroy();
  released.resolve();
  assert.equal((await inFlight).status, 202);
});
