import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { hexToBytes } from './hex.ts';

test('every byte string is read back from its hexadecimal text, in either case', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const text = Buffer.from(bytes).toString('hex');
      assert.deepEqual(hexToBytes(text), Buffer.from(bytes));
      assert.deepEqual(hexToBytes(text.toUpperCase()), Buffer.from(bytes));
    }),
  );
});

test('text that is not hexadecimal is never taken for bytes', () => {
  // U+0130 and U+0661 have the low bytes of '0' and 'a'.
  for (const text of [
    'a',
    'abc',
    '0g',
    'g0',
    ' 00',
    '00 ',
    '0x00',
    '-1',
    '\u0130\u0130',
    'ab\u0661\u0661',
    '\u00b2\u00b2',
  ]) {
    assert.equal(hexToBytes(text), undefined, JSON.stringify(text));
  }
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.equal(hexToBytes(text) !== undefined, /^(?:[0-9a-fA-F]{2})*$/.test(text));
    }),
  );
});
