import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import test from 'node:test';
import fc from 'fast-check';
import { groupByObject, type ObjectGroup, withListing } from './object-groups.ts';
import type { LocatedRecord, StoredObject } from './ports.ts';

const row = (objectKey: string, offset: number): LocatedRecord => ({
  deviceId: 'lift-01',
  sequence: BigInt(offset),
  payloadHash: Buffer.alloc(32),
  recordHash: Buffer.alloc(32),
  location: { objectKey, offset, bytes: 1 },
});

const inByteOrder = (keys: Iterable<string>) =>
  [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));

async function merged(pages: readonly (readonly LocatedRecord[])[], listed: readonly string[]): Promise<ObjectGroup[]> {
  const objects = listed.map((key): StoredObject => ({ key, bytes: 1 }));
  return Array.fromAsync(withListing(groupByObject(Readable.from(pages)), Readable.from(objects)));
}

// A few letters, so that keys collide; one beyond U+FFFF, where UTF-16 and UTF-8 sort differently from U+FF5E.
const keys = fc.uniqueArray(
  fc
    .array(fc.constantFrom('a', 'b', '/', '\uff5e', '\u{1f512}'), { minLength: 1, maxLength: 3 })
    .map((c) => c.join('')),
);

test('each object meets exactly its own rows, whatever is missing on either side', async () => {
  await fc.assert(
    fc.asyncProperty(keys, keys, fc.integer({ min: 1, max: 4 }), async (referenced, listed, pageRows) => {
      const rows = inByteOrder(referenced).flatMap((key) => [row(key, 0), row(key, 1)]);
      const pages = Array.from({ length: Math.ceil(rows.length / pageRows) }, (_, page) =>
        rows.slice(page * pageRows, (page + 1) * pageRows),
      );
      const groups = await merged(pages, inByteOrder(listed));
      assert.deepEqual(
        groups.map(({ key }) => key),
        inByteOrder(new Set([...referenced, ...listed])),
      );
      for (const { key, rows, object } of groups) {
        assert.equal(rows.length, referenced.includes(key) ? 2 : 0);
        assert.equal(object?.key, listed.includes(key) ? key : undefined);
      }
    }),
  );
});

test('rows without end on one object do not gather without end in memory', async () => {
  const rows = Array.from({ length: 5000 }, (_, offset) => row('a', offset));
  const groups = await merged([rows], ['a', 'b']);
  assert.deepEqual(
    groups.map(({ key, rows, object }) => [key, rows.length, object?.key]),
    [
      ['a', 2048, 'a'],
      ['a', 2048, 'a'],
      ['a', 904, 'a'],
      ['b', 0, 'b'],
    ],
  );
});
