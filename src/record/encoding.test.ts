import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { anyRecord } from '../../test/vectors/arbitraries.ts';
import { recordVectors, sampleRecord } from '../../test/vectors/records.ts';
import { decodeRecord, EncodingError, encodeRecord, encodeUnsigned } from './encoding.ts';
import { recordHash } from './hash.ts';
import { type DeviceRecord, u64Max } from './record.ts';

/** The record of `bytes`, or undefined when they are none. Anything but an EncodingError passes through. */
function decoded(bytes: Buffer): DeviceRecord | undefined {
  try {
    return decodeRecord(bytes);
  } catch (error) {
    if (error instanceof EncodingError) return undefined;
    throw error;
  }
}

const encodedSample = encodeRecord(sampleRecord);
const idEnd = 1 + Buffer.byteLength(sampleRecord.deviceId);
const signatureLengthAt = encodedSample.indexOf(sampleRecord.signature) - 1;

test('a device in the field and this service encode its record to the same bytes, both ways', () => {
  for (const { record, encoded } of recordVectors) {
    assert.deepEqual(encodeRecord(record), encoded);
    assert.deepEqual(decodeRecord(encoded), record);
  }
});

test('no record changes on its way through its encoding', () => {
  fc.assert(fc.property(anyRecord, (record) => assert.deepEqual(decodeRecord(encodeRecord(record)), record)));
});

test('two encodings never stand for one record: what the decoder takes, the encoder writes', () => {
  const mutated = fc.tuple(anyRecord, fc.nat(), fc.uint8Array({ maxLength: 3 }), fc.nat(2));
  fc.assert(
    fc.property(mutated, ([record, position, inserted, dropped]) => {
      const bytes = encodeRecord(record);
      const at = position % (bytes.length + 1);
      const candidate = Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at + dropped)]);
      const result = decoded(candidate);
      if (result !== undefined) assert.deepEqual(encodeRecord(result), candidate);
    }),
    { numRuns: 2_000 },
  );
});

test('arbitrary bytes are a record or an EncodingError, never a crash', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const candidate = Buffer.from(bytes);
      const result = decoded(candidate);
      if (result !== undefined) assert.deepEqual(encodeRecord(result), candidate);
    }),
  );
});

test('no bit of a record can change unnoticed: another bit is another record with another hash, or no record', () => {
  fc.assert(
    fc.property(anyRecord, fc.nat(), (record, position) => {
      const bytes = encodeRecord(record);
      const bit = position % (bytes.length * 8);
      bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      const other = decoded(bytes);
      if (other === undefined) return;
      assert.notDeepEqual(other, record);
      assert.notDeepEqual(recordHash(other), recordHash(record));
    }),
    { numRuns: 1_000 },
  );
});

test('the signature is the only thing that encodeUnsigned leaves out, its length byte included', () => {
  const expected = Buffer.concat([
    encodedSample.subarray(0, signatureLengthAt),
    encodedSample.subarray(signatureLengthAt + 1 + sampleRecord.signature.length),
  ]);
  assert.deepEqual(encodeUnsigned(sampleRecord), expected);
});

const refused: readonly [string, Buffer, RegExp][] = [
  ['no bytes', Buffer.alloc(0), /^device_id: the bytes end inside a number$/],
  ['a cut record', encodedSample.subarray(0, -1), /^object_ref: the bytes end too early$/],
  ['a byte too many', Buffer.concat([encodedSample, Buffer.alloc(1)]), /^1 bytes follow the record$/],
  ['an overlong length', splice(0, 1, '8700'), /^device_id: overlong varint$/],
  ['an overlong sequence', splice(idEnd, 1, '8100'), /^sequence: overlong varint$/],
  ['a sequence of 65 bits', splice(idEnd, 1, 'ffffffffffffffffff02'), /^sequence: the number is larger than 64 bits$/],
  ['an endless sequence', splice(idEnd, 1, 'ff'.repeat(20)), /^sequence: the number is larger than 64 bits$/],
  ['a length beyond the bytes', splice(0, 1, 'ffffffffffffffffff01'), /^device_id: the bytes end too early$/],
  ['text that is not UTF-8', splice(1, 1, 'ff'), /^device_id: not UTF-8$/],
  ['a surrogate in UTF-8', splice(1, 3, 'eda080'), /^device_id: not UTF-8$/],
  ['a signature of 63 bytes', splice(signatureLengthAt, 1, '3f'), /^signature: 63 bytes, expected 64$/],
];

for (const [what, bytes, message] of refused) {
  test(`${what} is refused by name`, () => {
    assert.throws(() => decodeRecord(bytes), { name: 'EncodingError', message });
  });
}

test('the largest u64 takes ten bytes and comes back', () => {
  const record = { ...sampleRecord, sequence: u64Max, timestampMs: u64Max };
  assert.equal(
    encodeRecord(record)
      .subarray(idEnd, idEnd + 10)
      .toString('hex'),
    'ffffffffffffffffff01',
  );
  assert.deepEqual(decodeRecord(encodeRecord(record)), record);
});

test('a byte order mark in a text is part of it, so dropping it would be another record', () => {
  const record = { ...sampleRecord, deviceId: '\ufefflift-01', objectRef: '\ufeff' };
  assert.deepEqual(decodeRecord(encodeRecord(record)), record);
});

test('a number that no u64 holds is not encoded as another one', () => {
  for (const sequence of [-1n, u64Max + 1n]) {
    assert.throws(() => encodeRecord({ ...sampleRecord, sequence }), RangeError);
  }
});

/** The sample's encoding with `count` bytes at `at` replaced. */
function splice(at: number, count: number, hex: string): Buffer {
  return Buffer.concat([encodedSample.subarray(0, at), Buffer.from(hex, 'hex'), encodedSample.subarray(at + count)]);
}
