import type { LocatedRecord, StoredObject } from './ports.ts';

/** The rows that point at one object, and the object as the store lists it. */
export type ObjectGroup = {
  readonly key: string;
  readonly rows: readonly LocatedRecord[];
  /** Undefined when it is not listed. */
  readonly object: StoredObject | undefined;
};

/** A segment has at most 1,024 records; more rows than that on one object are taken in several groups. */
const rowsPerGroupMax = 2048;

/** @param pages in the order of LedgerSnapshot.locations */
export async function* groupByObject(pages: AsyncIterable<readonly LocatedRecord[]>): AsyncGenerator<ObjectGroup> {
  let rows: LocatedRecord[] = [];
  for await (const page of pages) {
    for (const row of page) {
      const key = rows[0]?.location.objectKey;
      if (key !== undefined && (key !== row.location.objectKey || rows.length === rowsPerGroupMax)) {
        yield { key, rows, object: undefined };
        rows = [];
      }
      rows.push(row);
    }
  }
  const key = rows[0]?.location.objectKey;
  if (key !== undefined) yield { key, rows, object: undefined };
}

/** Merges the groups with the store's listing, both in the order of keys. An object without a row is a group of its own. */
export async function* withListing(
  groups: AsyncIterable<ObjectGroup>,
  listing: AsyncIterable<StoredObject>,
): AsyncGenerator<ObjectGroup> {
  const objects = listing[Symbol.asyncIterator]();
  try {
    let next = await objects.next();
    /** The last object that had rows: it may have a second group. */
    let last: StoredObject | undefined;
    for await (const group of groups) {
      while (!next.done && compareKeys(next.value.key, group.key) < 0) {
        yield { key: next.value.key, rows: [], object: next.value };
        next = await objects.next();
      }
      if (!next.done && next.value.key === group.key) {
        last = next.value;
        next = await objects.next();
      }
      yield { ...group, object: last?.key === group.key ? last : undefined };
    }
    for (; !next.done; next = await objects.next()) yield { key: next.value.key, rows: [], object: next.value };
  } finally {
    await objects.return?.();
  }
}

/** By UTF-8 bytes: JavaScript's `<` compares UTF-16, which differs beyond U+FFFF. */
function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a, 'utf8'), Buffer.from(b, 'utf8'));
}
