/** POST /api/v1/ingest over real sockets, Postgres and store: what each sender is told, and that nothing is lost by it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type CommitBatch, type Ledger, Unavailable } from '../src/ingest/ports.ts';
import { formatEnvelope } from '../src/record/format.ts';
import { assertRefused, assertStillAccepts, post } from './support/post.ts';
import { recordCount, startService } from './support/service.ts';
import { bodyWith, objectOf, soundMembers } from './vectors/envelopes.ts';

test('a record of the device comes in, and the ledger has it when the device is told so', async (t) => {
  await using service = await startService(t);
  const device = await service.device('lift-01');
  const answer = await post(service, device.nextBody());
  assert.equal(answer.status, 202);
  assert.deepEqual(answer.body, { status: 'accepted', record_hash: device.head.recordHash.toString('hex') });
  assert.equal(await recordCount(service.pool, 'lift-01'), 1);
});

const huge = 10 * 1024 * 1024;
const malformed: readonly (readonly [what: string, body: string | Buffer, code: string, error: RegExp])[] = [
  ['an empty body', '', 'malformed_json', /too early/],
  ['no JSON', 'lift', 'malformed_json', /unexpected character at character 1/],
  ['bytes that are not UTF-8', Buffer.from([0x7b, 0xff, 0xfe]), 'malformed_json', /UTF-8/],
  ['an array', '[]', 'invalid_field', /must be a JSON object/],
  ['a missing record', '{"raw_payload_hex":""}', 'invalid_field', /record is missing/],
  ['a record that is text', '{"record":"x","raw_payload_hex":""}', 'invalid_field', /record must be a JSON object/],
  ['a missing payload', objectOf({ record: objectOf(soundMembers) }), 'invalid_field', /raw_payload_hex is missing/],
  [
    'a missing signature',
    bodyWith({})
      .toString()
      .replace(/"signature":"0+",/, ''),
    'invalid_field',
    /record\.signature/,
  ],
  ['an unknown field', bodyWith({ site: '"Berlin"' }), 'invalid_field', /record\."site" is unknown/],
  [
    'a duplicate key',
    bodyWith({}).toString().replace('{"record":', '{"record":1,"record":'),
    'malformed_json',
    /twice/,
  ],
  ['a number for the device', bodyWith({ device_id: '7' }), 'invalid_field', /record\.device_id must be text/],
  ['an empty device', bodyWith({ device_id: '""' }), 'invalid_field', /record\.device_id must not be empty/],
  ['a NUL', bodyWith({ device_id: '"a\\u0000"' }), 'invalid_field', /record\.device_id .* control characters/],
  ['a long device', bodyWith({ device_id: `"${'x'.repeat(300)}"` }), 'invalid_field', /device_id has 300 bytes/],
  ['a lone surrogate', bodyWith({ device_id: '"\\ud800"' }), 'malformed_json', /lone surrogate/],
  ['1e400', bodyWith({ sequence: '1e400' }), 'invalid_field', /record\.sequence must be a whole number/],
  ['a fraction', bodyWith({ sequence: '1.5' }), 'invalid_field', /record\.sequence must be a whole number/],
  ['a negative sequence', bodyWith({ sequence: '-1' }), 'invalid_field', /record\.sequence must be between 1 and/],
  ['2^63', bodyWith({ sequence: '9223372036854775808' }), 'invalid_field', /sequence .* got 9223372036854775808/],
  [
    'a number as text',
    bodyWith({ timestamp_ms: '"1"' }),
    'invalid_field',
    /record\.timestamp_ms must be a whole number/,
  ],
  ['odd hex', bodyWith({ payload_hash: '"abc"' }), 'invalid_field', /record\.payload_hash must be hexadecimal/],
  ['a short hash', bodyWith({ payload_hash: '"ab"' }), 'invalid_field', /record\.payload_hash must be 32 bytes, got 1/],
  ['a byte of 256', bodyWith({ payload_hash: '[256]' }), 'invalid_field', /integers from 0 to 255/],
  ['an absolute reference', bodyWith({ object_ref: '"/etc/passwd"' }), 'invalid_field', /object_ref must be relative/],
  ['a reference with ..', bodyWith({ object_ref: '"lift-01/../x"' }), 'invalid_field', /record\.object_ref .* '\.\.'/],
  ['an empty reference', bodyWith({ object_ref: '""' }), 'invalid_field', /record\.object_ref must not be empty/],
  ['nesting', '['.repeat(1000), 'malformed_json', /levels of nesting/],
];

test('a malformed request gets 400 with a code and the field, and costs nothing else', async (t) => {
  await using service = await startService(t);
  for (const [what, body, code, error] of malformed)
    await t.test(what, async () => assertRefused(await post(service, body), 400, code, error));
  await assertStillAccepts(service, 'after-malformed');
});

test('10 MB of [ are refused without nesting', async (t) => {
  await using service = await startService(t, { envelopeBytesMax: 2 * huge });
  assertRefused(await post(service, '['.repeat(huge)), 400, 'malformed_json', /more than 8 levels/);
  await assertStillAccepts(service, 'after-brackets');
});

test('a sequence above 2^53 is judged digit for digit', async (t) => {
  await using service = await startService(t, { bounds: { predecessorWaitMs: 1 } });
  const device = await service.device('lift-01');
  const body = device.nextBody().replace('"sequence":1,', '"sequence":9007199254740993,');
  assertRefused(await post(service, body), 422, 'invalid_sequence', /expected=1 actual=9007199254740993$/);
});

test('upper-case hex, integer arrays, an empty payload and gzip are accepted', async (t) => {
  await using service = await startService(t);
  const device = await service.device('lift-01');
  const upper = device.nextBody().replaceAll(/"([0-9a-f]{64,})"/g, (text) => text.toUpperCase());
  const arrays = device
    .nextBody()
    .replaceAll(/("(?:payload_hash|signature|prev_record_hash)":)"([0-9a-f]+)"/g, integers);
  assert.match(arrays, /"signature":\[\d/);
  for (const body of [upper, arrays, device.nextBody(Buffer.alloc(0))])
    assert.equal((await post(service, body)).status, 202);
  const zipped = await post(service, gzipSync(device.nextBody()), { 'Content-Encoding': 'gzip' });
  assert.equal(zipped.status, 202);
});

const integers = (_: string, name: string, hex: string) => `${name}[${[...Buffer.from(hex, 'hex')].join(',')}]`;

test('each check of a record has its code and the text that devices know', async (t) => {
  await using service = await startService(t, { bounds: { predecessorWaitMs: 1 } });
  const device = await service.device('lift-01');
  const stranger = await service.device('stranger');
  const first = device.next();
  const body = formatEnvelope(first);
  const failed = 'ingest verification failed: ';
  const refusals: readonly [string, string, string, object][] = [
    [
      body.replace(/"raw_payload_hex":"../, '"raw_payload_hex":"00'),
      'payload_hash_mismatch',
      'payload hash mismatch for device=lift-01 sequence=1',
      {},
    ],
    [body.replaceAll('lift-01', 'nobody'), 'unknown_device', `${failed}unknown device: nobody`, {}],
    [
      formatEnvelope({ ...first, record: { ...first.record, signature: stranger.next().record.signature } }),
      'invalid_signature',
      `${failed}invalid signature for device=lift-01`,
      {},
    ],
    [
      body.replace('lift-01/1.bin', 'stranger/1.bin'),
      'object_ref_not_allowed',
      `${failed}object_ref of device=lift-01 must lie under lift-01/`,
      {},
    ],
    [
      formatEnvelope({ ...first, record: { ...first.record, sequence: 3n } }),
      'invalid_sequence',
      `${failed}invalid sequence for device=lift-01: expected=1 actual=3`,
      { expected_sequence: 1 },
    ],
    [
      formatEnvelope({ ...first, record: { ...first.record, prevRecordHash: Buffer.alloc(32, 1) } }),
      'invalid_previous_hash',
      `${failed}invalid previous hash for device=lift-01`,
      { expected_sequence: 1 },
    ],
  ];
  for (const [wrong, code, error, more] of refusals) {
    const answer = await post(service, wrong);
    assert.equal(answer.status, 422, code);
    assert.deepEqual(answer.body, { status: 'rejected', code, error, ...more });
  }
  assert.equal((await post(service, body)).status, 202);
  const error = `${failed}duplicate record for device=lift-01 sequence=1`;
  const again = await post(service, body);
  assert.deepEqual(again.body, {
    status: 'rejected',
    code: 'duplicate_record',
    error,
    expected_sequence: 2,
    identical: true,
  });
  const rival = await post(service, formatEnvelope(device.rival('another story')));
  assert.deepEqual(rival.body, {
    status: 'rejected',
    code: 'equivocation',
    error,
    expected_sequence: 2,
    identical: false,
  });
  await service.pool.query("UPDATE devices SET enabled = false WHERE id = 'lift-01'");
  // The directory hears of it by a notification; until then the record is judged as before, and the fence holds it back.
  const suspended = await post(service, device.nextBody());
  assertRefused(suspended, 422, 'device_suspended', /unknown device: lift-01 \(suspended\)$/);
  assert.equal(await recordCount(service.pool, 'lift-01'), 1);
});

test('an outage of ours gets 503 with Retry-After, changes nothing, and the same record goes in afterwards', async (t) => {
  let away = true;
  const fail = () => Promise.reject(new Unavailable('ledger', 'away'));
  const wrapLedger = (ledger: Ledger): Ledger => ({
    commit: (batch: CommitBatch) => (away ? fail() : ledger.commit(batch)),
    readHeads: (ids) => ledger.readHeads(ids),
    readRecordHashes: (places) => ledger.readRecordHashes(places),
  });
  await using service = await startService(t, { wrapLedger });
  const device = await service.device('lift-01');
  const body = device.nextBody();
  const answer = await post(service, body);
  assert.equal(answer.status, 503);
  assert.equal(answer.headers.get('retry-after'), '1');
  assert.equal(answer.body.status, 'unavailable');
  assert.equal(answer.body.code, 'ledger_unavailable');
  assert.equal(await recordCount(service.pool, 'lift-01'), 0);
  away = false;
  assert.equal((await post(service, body)).status, 202);
});

test('a failed put gets 503 payload_store_unavailable, and the same record goes in afterwards', async (t) => {
  let away = true;
  await using service = await startService(t, {
    wrapStore: (store) => ({
      put: (admitted) => (away ? Promise.reject(new Unavailable('payload_store', 'away')) : store.put(admitted)),
    }),
  });
  const device = await service.device('lift-01');
  const body = device.nextBody();
  const answer = await post(service, body);
  assert.deepEqual([answer.status, answer.body.code], [503, 'payload_store_unavailable']);
  away = false;
  assert.equal((await post(service, body)).status, 202);
});

test('past the records in flight the answer is 503 overloaded, at once', async (t) => {
  const stored = Promise.withResolvers<void>();
  await using service = await startService(t, {
    bounds: { recordsInFlightMax: 1 },
    wrapStore: (store) => ({ put: (admitted) => stored.promise.then(() => store.put(admitted)) }),
  });
  const device = await service.device('lift-01');
  const [first, second] = device.nextBodies(2) as [string, string];
  const pending = post(service, first);
  while (service.ingest.recordsInFlight === 0) await new Promise(setImmediate);
  const answer = await post(service, second);
  assert.deepEqual([answer.status, answer.body.code], [503, 'overloaded']);
  stored.resolve();
  assert.equal((await pending).status, 202);
  assert.equal((await post(service, second)).status, 202);
});
