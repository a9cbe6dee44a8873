/** POST /api/v1/ingest/batch over real sockets, Postgres and store. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { formatEnvelope } from '../src/record/format.ts';
import { batchRoute, ndjson, outcomes, postBatch, times, type Verdict } from './support/post-batch.ts';
import { defaultEnvelopeBytesMax, recordCount, startService, type TestDevice } from './support/service.ts';

function tampered(body: string): string {
  return body.replace(/"raw_payload_hex":"../, '"raw_payload_hex":"00');
}

test('verdicts come one a line in the order of the lines, with several devices interleaved', async (t) => {
  await using service = await startService(t);
  const devices = await Promise.all(['a', 'b', 'c'].map((id) => service.device(id)));
  const hashes: string[] = [];
  const lines = Array.from({ length: 60 }, (_, index) => {
    const device = devices[index % devices.length] as TestDevice;
    const body = device.nextBody();
    hashes.push(device.head.recordHash.toString('hex'));
    return body;
  });
  const verdicts = await postBatch(service.url, `${lines.join('\n')}\n`);
  assert.deepEqual(
    verdicts.map(({ record_hash }) => record_hash),
    hashes,
  );
  for (const { id } of devices) assert.equal(await recordCount(service.pool, id), 20);
});

test("a device's refusal stops that device's later lines, and nobody else's", async (t) => {
  await using service = await startService(t);
  const [one, other] = [await service.device('one'), await service.device('other')];
  const ones = one.nextBodies(4);
  const others = other.nextBodies(4);
  const lines = ones.flatMap((line, index) => [index === 1 ? tampered(line) : line, others[index] ?? '']);
  const verdicts = await postBatch(service.url, lines.join('\n'));
  assert.deepEqual(outcomes(verdicts), [
    'accepted',
    'accepted',
    'payload_hash_mismatch',
    'accepted',
    'predecessor_rejected',
    'accepted',
    'predecessor_rejected',
    'accepted',
  ]);
  assert.match(verdicts[4]?.error ?? '', /an earlier record of device=one in this batch was refused/);
  assert.equal(await recordCount(service.pool, 'one'), 1);
  // Nothing of it is held against the device: what it meant to send goes in.
  assert.deepEqual(outcomes(await postBatch(service.url, ones.slice(1).join('\n'))), times(3, 'accepted'));
});

test('a batch sent again after a lost answer is told that it is there, and goes on with what is new', async (t) => {
  await using service = await startService(t);
  const device = await service.device('lift-01');
  const lines = device.nextBodies(20);
  assert.deepEqual(outcomes(await postBatch(service.url, lines.join('\n'))), times(20, 'accepted'));
  const more = device.nextBodies(5);
  const again = await postBatch(service.url, [...lines, ...more].join('\n'));
  assert.deepEqual(outcomes(again), [...times(20, 'identical'), ...times(5, 'accepted')]);
  assert.equal(await recordCount(service.pool, 'lift-01'), 25);
});

test('another record at a used place is refused and ends the device, though the same record there would not', async (t) => {
  await using service = await startService(t);
  const device = await service.device('lift-01');
  const first = device.nextBody();
  const rival = formatEnvelope(device.rival('another story'));
  const second = device.nextBody();
  assert.deepEqual(outcomes(await postBatch(service.url, [first, rival, second].join('\n'))), [
    'accepted',
    'equivocation',
    'predecessor_rejected',
  ]);
});

test('a line that is no record costs that line alone; blank lines cost nothing', async (t) => {
  await using service = await startService(t);
  const device = await service.device('lift-01');
  const [first, second, third] = device.nextBodies(3);
  const long = ' '.repeat(defaultEnvelopeBytesMax + 1);
  const body = `\n${first}\r\n \t\r\n{"record":\n${second}\n[]\n${long}\n\n${third}`;
  const verdicts = await postBatch(service.url, body);
  assert.deepEqual(outcomes(verdicts), [
    'accepted',
    'malformed_json',
    'accepted',
    'invalid_field',
    'body_too_large',
    'accepted',
  ]);
  assert.match(verdicts[4]?.error ?? '', new RegExp(`longer than ${defaultEnvelopeBytesMax} bytes`));
  assert.deepEqual(await postBatch(service.url, ''), []);
});

test('the longest line goes in, whatever the pieces it arrives in', async (t) => {
  await using service = await startService(t);
  const device = await service.device('lift-01');
  const line = device.nextBody();
  const longest = line + ' '.repeat(defaultEnvelopeBytesMax - Buffer.byteLength(line));
  const verdicts = await postBatch(service.url, `${longest}\n${device.nextBody()}\n`);
  assert.deepEqual(outcomes(verdicts), ['accepted', 'accepted']);
});

test('a gzip batch goes in; where gzip breaks, the lines before it are answered as ever', async (t) => {
  await using service = await startService(t);
  const device = await service.device('lift-01');
  const gzip = { 'Content-Encoding': 'gzip' };
  const whole = gzipSync(device.nextBodies(10).join('\n'));
  assert.deepEqual(outcomes(await postBatch(service.url, whole, gzip)), times(10, 'accepted'));
  // The first part is flushed whole, as a gzip member of its own; the second is none.
  const lines = device.nextBodies(3);
  const broken = Buffer.concat([gzipSync(`${lines.join('\n')}\n`), gzipSync(device.nextBody()).subarray(0, 40)]);
  const verdicts = await postBatch(service.url, broken, gzip);
  assert.deepEqual(outcomes(verdicts), [...times(3, 'accepted'), 'bad_http']);
  assert.match(verdicts.at(-1)?.error ?? '', /the body broke off after line 3: .*gzip/);
  assert.deepEqual(outcomes(await postBatch(service.url, Buffer.from(lines.join('\n')), gzip)), ['bad_http']);
  const unknown = await fetch(service.url + batchRoute, {
    method: 'POST',
    headers: { ...ndjson, 'Content-Encoding': 'br' },
    body: 'x',
  });
  assert.equal(unknown.status, 415);
  assert.equal(((await unknown.json()) as Verdict).code, 'unsupported_media_type');
  assert.deepEqual(service.errors, []);
});

test('while draining, each line is told to go elsewhere', async (t) => {
  await using service = await startService(t, { draining: () => true });
  const device = await service.device('lift-01');
  assert.deepEqual(outcomes(await postBatch(service.url, device.nextBodies(2).join('\n'))), times(2, 'draining'));
  assert.equal(await recordCount(service.pool, 'lift-01'), 0);
});

test('more lines than may be in flight wait for their turn instead of being refused', async (t) => {
  await using service = await startService(t, { bounds: { recordsInFlightMax: 4, payloadBytesInFlightMax: 1024 } });
  const device = await service.device('lift-01');
  const verdicts = await postBatch(service.url, device.nextBodies(50).join('\n'));
  assert.deepEqual(outcomes(verdicts), times(50, 'accepted'));
});
