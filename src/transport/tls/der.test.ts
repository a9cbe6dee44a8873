import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { derElements, derOid, derTimeMs } from './der.ts';

const lengthOf = (length: number) => {
  if (length < 0x80) return [length];
  const bytes = [...Buffer.from(length.toString(16).padStart(6, '0'), 'hex')];
  return [0x80 | bytes.length, ...bytes];
};
const element = (tag: number, contents: Uint8Array) =>
  Buffer.concat([Uint8Array.of(tag, ...lengthOf(contents.length)), contents]);

test('elements that were written one after the other are read as they were, and never when cut short', () => {
  const written = fc.array(fc.record({ tag: fc.nat(0x1e), contents: fc.uint8Array({ maxLength: 300 }) }), {
    minLength: 1,
    maxLength: 5,
  });
  fc.assert(
    fc.property(written, fc.nat(), (list, seed) => {
      const der = Buffer.concat(list.map(({ tag, contents }) => element(tag, contents)));
      const read = derElements(der).map(({ tag, contents }) => ({ tag, contents: [...contents] }));
      assert.deepEqual(
        read,
        list.map(({ tag, contents }) => ({ tag, contents: [...contents] })),
      );
      const last = list.at(-1);
      const lastBytes = last === undefined ? 0 : element(last.tag, last.contents).length;
      assert.throws(() => derElements(der.subarray(0, der.length - 1 - (seed % (lastBytes - 1)))), RangeError);
    }),
  );
});

test('no bytes are read past their end, whatever they claim', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      try {
        const total = derElements(Buffer.from(bytes)).reduce((sum, { encoded }) => sum + encoded.length, 0);
        assert.equal(total, bytes.length);
      } catch (error) {
        assert.ok(error instanceof RangeError, String(error));
      }
    }),
  );
});

test('both forms of a time are read, and what is no time is not', () => {
  const time = (tag: number, text: string) => {
    const [read] = derElements(element(tag, Buffer.from(text)));
    return read && derTimeMs(read);
  };
  assert.equal(time(0x17, '261122190000Z'), Date.UTC(2026, 10, 22, 19));
  assert.equal(time(0x17, '990101000000Z'), Date.UTC(1999, 0, 1));
  assert.equal(time(0x18, '20770101000000Z'), Date.UTC(2077, 0, 1));
  for (const text of ['2611221900Z', '20261322190000Z', '', 'never']) assert.equal(time(0x18, text), undefined, text);
  assert.equal(time(0x30, '20770101000000Z'), undefined);
});

test('object identifiers are read in dotted form', () => {
  const oid = (hex: string) => {
    const [read] = derElements(element(0x06, Buffer.from(hex, 'hex')));
    return read && derOid(read);
  };
  assert.equal(oid('2a864886f70d01010b'), '1.2.840.113549.1.1.11');
  assert.equal(oid('2b6570'), '1.3.101.112');
  assert.equal(oid('883703'), '2.999.3');
  assert.throws(() => oid('2affffffffffffffffff7f'), RangeError);
});
