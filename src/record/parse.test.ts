import assert from 'node:assert/strict';
import test from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { bytesOf, sendableRecord } from '../../test/vectors/arbitraries.ts';
import { bodyWith, soundMembers, utf8 } from '../../test/vectors/envelopes.ts';
import { recordVectors, sampleRecord } from '../../test/vectors/records.ts';
import { formatEnvelope, formatRecord } from './format.ts';
import { objectKeyOf, ParseError, parseEnvelope, parseRecord, parseRecords } from './parse.ts';

test('no body crashes the parser: bytes, any JSON, and a damaged envelope are values or a ParseError', () => {
  const good = bodyWith({}, '"00ff"');
  const damaged = fc
    .tuple(fc.nat(good.length), fc.uint8Array({ maxLength: 4 }), fc.nat(4))
    .map(([at, inserted, dropped]) => Buffer.concat([good.subarray(0, at), inserted, good.subarray(at + dropped)]));
  const replaced = fc
    .tuple(fc.constantFrom(...Object.keys(soundMembers)), fc.json())
    .map(([name, source]) => bodyWith({ [name]: source }));
  const body = fc.oneof(fc.uint8Array(), fc.json().map(utf8), damaged, replaced);
  fc.assert(
    fc.property(body, (bytes) => {
      try {
        const envelope = parseEnvelope(bytes);
        assert.deepEqual(parseEnvelope(utf8(formatEnvelope(envelope))), envelope);
      } catch (error) {
        if (!(error instanceof ParseError)) throw error;
      }
    }),
    { numRuns: 3_000 },
  );
});

test('a record is the same after it was written as JSON and read back, alone or in its envelope', () => {
  fc.assert(
    fc.property(sendableRecord, fc.uint8Array(), (record, payloadBytes) => {
      const payload = Buffer.from(payloadBytes);
      assert.deepEqual(parseRecord(formatRecord(record)), record);
      assert.deepEqual(parseEnvelope(utf8(formatEnvelope({ record, payload }))), { record, payload });
    }),
  );
});

test('byte fields mean the same as integers, as hex and as upper-case hex', () => {
  fc.assert(
    fc.property(bytesOf(32), bytesOf(64), (hash, signature) => {
      const forms = [(bytes: Buffer) => JSON.stringify([...bytes]), (bytes: Buffer) => `"${bytes.toString('hex')}"`];
      forms.push((bytes) => `"${bytes.toString('hex').toUpperCase()}"`);
      for (const form of forms) {
        const envelope = parseEnvelope(bodyWith({ payload_hash: form(hash), signature: form(signature) }, form(hash)));
        assert.deepEqual(envelope.record.payloadHash, hash);
        assert.deepEqual(envelope.record.signature, signature);
        assert.deepEqual(envelope.payload, hash);
      }
    }),
  );
});

test('sequence and time keep every digit up to 2^63-1', () => {
  for (const value of [2n ** 53n - 1n, 2n ** 53n + 1n, 2n ** 63n - 1n]) {
    const { record } = parseEnvelope(bodyWith({ sequence: `${value}`, timestamp_ms: `${value}` }));
    assert.equal(record.sequence, value);
    assert.equal(record.timestampMs, value);
  }
});

test('an empty payload and time 0 are fine, and so are 255 bytes of device_id', () => {
  const { record, payload } = parseEnvelope(bodyWith({ device_id: `"${'x'.repeat(255)}"`, timestamp_ms: '0' }));
  assert.equal(payload.length, 0);
  assert.equal(record.deviceId.length, 255);
});

test('the object that a record names lies in no bucket of its own choice', () => {
  assert.equal(objectKeyOf(sampleRecord.objectRef), 'lift-01/inspection-1.bin');
  assert.equal(objectKeyOf('lift-01/s3:/x'), 'lift-01/s3:/x');
});

test('an export is read as an array or line by line, and an error says which record it is in', () => {
  const records = recordVectors.map(({ record }) => record);
  const texts = records.map(formatRecord);
  assert.deepEqual(parseRecords(`[${texts.join(',\n')}]`), records);
  assert.deepEqual(parseRecords(`${texts.join('\r\n\n')}\n`), records);
  assert.throws(() => parseRecords(`${texts[0]}\n\n{}`), {
    code: 'invalid_field',
    message: /^line 3: record\.device_id is missing/,
  });
  assert.throws(() => parseRecords(`[${texts[0]},1]`), {
    code: 'invalid_field',
    message: /^record 2: record must be a JSON object/,
  });
  assert.throws(() => parseRecords('[1'), { code: 'malformed_json' });
});

test('remembering who sent a record does not keep its body in memory', () => {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  const payloadHex = `"${'ab'.repeat(64 * 1024)}"`;
  const remembered: string[] = [];
  collect();
  const beforeBytes = process.memoryUsage().heapUsed;
  for (let i = 0; i < 100; i++) {
    const members = {
      device_id: `"a-gateway-with-a-long-name-${i}"`,
      object_ref: `"a-gateway-with-a-long-name-${i}/1"`,
    };
    const { record } = parseEnvelope(bodyWith(members, payloadHex));
    remembered.push(record.deviceId, record.objectRef);
  }
  collect();
  const keptBytes = process.memoryUsage().heapUsed - beforeBytes;
  assert.ok(keptBytes < 4 * 2 ** 20, `${remembered.length} names keep ${keptBytes} bytes`);
});
