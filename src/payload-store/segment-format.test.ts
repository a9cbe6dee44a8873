import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeSegment, encodeSegment, type Frame, recordBeforePayload, SegmentError } from './segment-format.ts';

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
const frames = fc.array(fc.record({ record: bytes(200), payload: bytes(300) }), { maxLength: 8 });

function encode(list: readonly Frame[]): Buffer {
  return encodeSegment(list).content;
}

test('a segment alone gives back every record with its payload', () => {
  fc.assert(
    fc.property(frames, (list) => {
      const { content, offsets } = encodeSegment(list);
      const expected = list.map((frame, index) => ({ ...frame, offset: offsets[index] }));
      assert.deepEqual(decodeSegment(content), expected);
    }),
  );
});

test('the offset of a payload, which the ledger keeps, leads to the payload and to its record', () => {
  fc.assert(
    fc.property(frames, (list) => {
      const { content, offsets } = encodeSegment(list);
      for (const [index, { record, payload }] of list.entries()) {
        const offset = offsets[index] ?? -1;
        assert.deepEqual(content.subarray(offset, offset + payload.length), payload);
        assert.deepEqual(recordBeforePayload(content.subarray(0, offset)), record);
      }
    }),
  );
});

test('no part of a segment passes for the whole, and nothing can be appended', () => {
  fc.assert(
    fc.property(frames, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), bytes(40), (list, cut, more) => {
      const content = encode(list);
      assert.throws(() => decodeSegment(content.subarray(0, Math.floor(cut * content.length))), SegmentError);
      if (more.length > 0) assert.throws(() => decodeSegment(Buffer.concat([content, more])), SegmentError);
    }),
  );
});

test('bytes that are no segment are refused and never crash the reader', () => {
  fc.assert(
    fc.property(frames, fc.nat(), fc.integer({ min: 1, max: 255 }), (list, where, flip) => {
      const content = encode(list);
      const at = where % content.length;
      content.writeUInt8(content.readUInt8(at) ^ flip, at);
      try {
        decodeSegment(content);
      } catch (error) {
        assert(error instanceof SegmentError);
      }
    }),
  );
  assert.throws(() => decodeSegment(Buffer.from('something else altogether')), /the magic is missing/);
});

test('a record whose two lengths differ is refused', () => {
  const content = encode([{ record: Buffer.from('record'), payload: Buffer.from('payload') }]);
  const second = content.indexOf('record', 'edgesentry-segment-1\n'.length) + 'record'.length;
  content.writeUInt32BE(5, second);
  assert.throws(() => decodeSegment(content), /a record of 6 bytes ends with the length 5/);
});

test('no record is made up where none stands before the payload', () => {
  assert.equal(recordBeforePayload(Buffer.alloc(0)), undefined);
  assert.equal(recordBeforePayload(Buffer.alloc(7)), undefined);
  assert.equal(recordBeforePayload(Buffer.alloc(64, 0xff)), undefined);
  const cut = encode([{ record: Buffer.alloc(100, 1), payload: Buffer.alloc(0) }]).subarray(-60);
  assert.equal(recordBeforePayload(cut), undefined);
});
