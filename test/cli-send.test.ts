/** `eds send` against a service that fails in the ways that services fail. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeviceChain } from '../src/device/device-chain.ts';
import { formatEnvelope } from '../src/record/format.ts';
import { signingKeyFromSeed } from '../src/record/signing-key.ts';
import { eds } from './support/command-line.ts';
import { FakeIngest } from './support/fake-ingest.ts';
import { vectorKey } from './vectors/records.ts';

const deviceId = 'lift/01 ü';
const key = signingKeyFromSeed(vectorKey.seed);
const keys = { [deviceId]: { scheme: 'payload-v1', publicKey: key.publicKey } } as const;
const env = { EDS_PRIVATE_KEY_HEX: key.seed.toString('hex'), EDS_DEVICE_ID: deviceId };
const newChain = () => new DeviceChain({ deviceId, scheme: 'payload-v1', key });
const envelope = (chain: DeviceChain, payload: string) =>
  chain.next(Buffer.from(payload), { timestampMs: 1_700_000_000_000n, objectRef: `${deviceId}/x` });

/** Runs `eds send --json` against the fake. */
async function send(fake: FakeIngest, args: readonly string[], stdin = '') {
  const result = await eds(['send', '--url', fake.url, '--json', ...args], { env, stdin });
  return { ...result, summary: result.stdout ? JSON.parse(result.stdout) : undefined };
}

const payloads = (count: number) => Array.from({ length: count }, (_, index) => `check=${index + 1}\n`).join('');

test('payloads become one chain, whatever the size of the input, and a second run goes on from the head', async () => {
  await using fake = await FakeIngest.start(keys);
  const first = await send(fake, ['--payload-file', '-'], payloads(1200));
  assert.deepEqual([first.exitCode, first.summary.delivered, first.summary.sequence], [0, 1200, '1200']);
  assert.deepEqual(
    fake.requests.map(({ records }) => records),
    [0, 500, 500, 200],
  );
  const second = await send(fake, ['--payload', 'one more']);
  assert.deepEqual([second.exitCode, second.summary.sequence], [0, '1201']);
  const last = fake.records.get(deviceId)?.at(-1);
  assert.equal(last?.objectRef, `${deviceId}/1201`);
});

test('every request carries a trace of its own, so that it can be found in the traces of the service', async () => {
  await using fake = await FakeIngest.start(keys);
  await send(fake, ['--generate', '3', '--payload-bytes', '0', '--single']);
  const traces = fake.requests.map(({ traceparent }) => traceparent ?? '');
  assert.deepEqual(
    fake.requests.map(({ records }) => records),
    [0, 1, 1, 1],
  );
  for (const trace of traces) assert.match(trace, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  assert.equal(new Set(traces).size, traces.length);
});

test('a lost answer, an overload, a proxy page and a short answer cost a retry each, and no record', async () => {
  await using fake = await FakeIngest.start(keys, [
    {
      status: 429,
      headers: { 'retry-after': '0' },
      body: '{"status":"unavailable","code":"overloaded","error":"busy"}',
    },
    { status: 502, body: '<html>Bad Gateway</html>' },
    { status: 200, body: '{"device_id":"x","sequence":0,"record_hash":"'.concat('00'.repeat(32), '"}') },
    'lost',
    { status: 200, body: '{"status":"accepted","record_hash":""}\n' },
  ]);
  const { exitCode, summary, stderr } = await send(fake, ['--payload-file', '-'], payloads(3));
  assert.equal(exitCode, 0, stderr);
  assert.equal(summary.delivered, 3);
  assert.equal(fake.records.get(deviceId)?.length, 3);
});

test('records that are unavailable one by one go again in order, and nothing else does', async () => {
  const unavailable = '{"status":"unavailable","code":"ledger_unavailable","error":"down","retry_after_seconds":0}\n';
  await using fake = await FakeIngest.start(keys, [
    { status: 200, body: `{"sequence":0,"record_hash":"${'00'.repeat(32)}"}` },
    { status: 200, body: unavailable.repeat(3) },
  ]);
  const { exitCode, summary } = await send(fake, ['--payload-file', '-'], payloads(3));
  assert.deepEqual([exitCode, summary.delivered], [0, 3]);
  assert.deepEqual(
    fake.requests.map(({ records }) => records),
    [0, 3, 3],
  );
});

test('a Retry-After is waited for', async () => {
  await using fake = await FakeIngest.start(keys, [{ status: 503, headers: { 'retry-after': '1' } }]);
  const startMs = performance.now();
  const { exitCode } = await send(fake, ['--payload', 'x']);
  assert.equal(exitCode, 0);
  // A timer may fire a millisecond early.
  assert.ok(performance.now() - startMs >= 999);
});

test('a service that stays away ends in exit code 1 after the attempts, saying how to go on', async () => {
  const down = { status: 503, body: '{"status":"unavailable","code":"draining","error":"shutting down"}' };
  await using fake = await FakeIngest.start(keys, [
    { status: 200, body: `{"sequence":0,"record_hash":"${'00'.repeat(32)}"}` },
    down,
    down,
  ]);
  const { exitCode, stderr } = await send(fake, ['--payload', 'x', '--attempts', '2']);
  assert.equal(exitCode, 1);
  assert.match(stderr, /^eds send: gave up after all attempts: 503 draining: shutting down \(trace [0-9a-f]{32}\)\n$/);
});

test('a chain that moved on meanwhile is picked up at its new head, with every payload sent once', async () => {
  await using fake = await FakeIngest.start(keys, [
    { status: 200, body: `{"sequence":5,"record_hash":"${'ab'.repeat(32)}"}` },
  ]);
  const { exitCode, summary, stderr } = await send(fake, ['--payload-file', '-'], payloads(3));
  assert.equal(exitCode, 0, stderr);
  assert.deepEqual([summary.delivered, summary.sequence], [3, '3']);
  assert.match(stderr, /the service is at sequence 0, going on from there/);
});

test('a refusal stops the chain there, names the code and what to do, and where to go on', async () => {
  await using fake = await FakeIngest.start(keys);
  await send(fake, ['--payload', 'first']);
  const { exitCode, stderr, summary } = await send(fake, ['--payload-file', '-', '--scheme', 'record-v2'], payloads(2));
  assert.deepEqual([exitCode, summary.delivered], [1, 0]);
  assert.match(
    stderr,
    /sequence 2 was refused: invalid_signature: .*compare the key \(eds inspect-key\) and its scheme/,
  );
});

test('two senders that sign the same sequence are told, and neither overwrites the other', async () => {
  await using fake = await FakeIngest.start(keys, [
    { status: 200, body: `{"sequence":0,"record_hash":"${'00'.repeat(32)}"}` },
  ]);
  fake.admit(envelope(newChain(), 'of the other sender').record);
  const { exitCode, stderr } = await send(fake, ['--payload', 'mine']);
  assert.equal(exitCode, 1);
  assert.match(stderr, /sequence 1 was refused: equivocation: .*find who else signs for this device/);
});

test('an unregistered device is told the command that registers it', async () => {
  await using fake = await FakeIngest.start({});
  const { exitCode, stderr } = await send(fake, ['--payload', 'x']);
  assert.equal(exitCode, 1);
  assert.ok(stderr.includes(`eds device register ${deviceId} --public-key ${key.publicKey.toString('hex')}`), stderr);
});

test('a wrong address is told from a refused record', async () => {
  await using fake = await FakeIngest.start(keys, [
    { status: 404, body: '<html>' },
    { status: 301, headers: { location: '/' } },
  ]);
  for (const status of [404, 301]) {
    const { exitCode, stderr } = await send(fake, ['--payload', 'x']);
    assert.equal(exitCode, 1);
    assert.match(stderr, new RegExp(`http_${status}: status ${status} is no answer of an EdgeSentry service`));
  }
});

test('an ingress that answers 404 while the service is away costs a retry, once the address has proved right', async () => {
  await using fake = await FakeIngest.start(keys, [
    { status: 200, body: `{"sequence":0,"record_hash":"${'00'.repeat(32)}"}` },
    { status: 404, body: '404 page not found' },
  ]);
  const { exitCode, summary, stderr } = await send(fake, ['--payload', 'x']);
  assert.deepEqual([exitCode, summary?.delivered], [0, 1], stderr);
});

test('ready envelopes are sent as they are; those there already count, a refused one does not hold up other devices', async () => {
  await using fake = await FakeIngest.start(keys);
  const chain = newChain();
  const [first, second] = [envelope(chain, 'a'), envelope(chain, 'b')];
  fake.admit(first.record);
  const foreign = new DeviceChain({ deviceId: 'unknown', scheme: 'payload-v1', key });
  const lines = [formatEnvelope(first), '', formatEnvelope(envelope(foreign, 'c')), formatEnvelope(second)].join('\n');
  const { exitCode, summary, stderr } = await send(fake, ['--envelopes-file', '-'], lines);
  assert.deepEqual([exitCode, summary.delivered, summary.refused], [1, 2, 1]);
  assert.match(stderr, /1 records were refused, the first at line 3: unknown_device: .*eds device register/);
});

test('lines sent before can be left out', async () => {
  await using fake = await FakeIngest.start(keys);
  const { summary } = await send(fake, ['--payload-file', '-', '--skip', '2'], payloads(3));
  assert.equal(summary.delivered, 1);
});

test('--rate holds records back', async () => {
  await using fake = await FakeIngest.start(keys);
  const startMs = performance.now();
  await send(fake, ['--generate', '6', '--payload-bytes', '8', '--rate', '10']);
  // The last of six pairs-of-two leaves at 4/10 s.
  assert.ok(performance.now() - startMs >= 395);
});

test('an interrupt ends a wait at once, and says so', async () => {
  await using fake = await FakeIngest.start(keys, [{ status: 503, headers: { 'retry-after': '60' } }]);
  const interrupt = new AbortController();
  const sending = eds(['send', '--url', fake.url, '--payload', 'x'], { env, signal: interrupt.signal });
  while (fake.requests.length === 0) await sleep(5);
  interrupt.abort();
  const { exitCode, stderr } = await sending;
  assert.equal(exitCode, 1);
  assert.match(stderr, /^eds send: interrupted\n$/);
});

test('a command line that names no source of records, or two, is refused', async () => {
  for (const args of [[], ['--payload', 'x', '--generate', '1']]) {
    const { exitCode, stderr } = await eds(['send', ...args], { env });
    assert.equal(exitCode, 2);
    assert.match(stderr, /give one of --payload, --payload-file, --generate and --envelopes-file/);
  }
  const nameless = await eds(['send', '--payload', 'x']);
  assert.equal(nameless.exitCode, 2);
  assert.match(nameless.stderr, /--device-id/);
});
