import type { PayloadLocation } from '../ingest/ports.ts';
import { blake3Hash } from '../record/hash.ts';
import type { Findings, Mismatch } from './findings.ts';
import { mapAhead } from './map-ahead.ts';
import { groupByObject, type ObjectGroup, withListing } from './object-groups.ts';
import type { LedgerSnapshot, LocatedRecord, PayloadCopies, StoredCopy } from './ports.ts';

/** Enough to hide a store's latency; each may hold a segment of some MiB. */
const objectsAhead = 16;

export type PayloadCounts = {
  objects: number;
  payloads: number;
  payloadBytes: number;
  /** Objects, and copies in segments, that no row points at. */
  unreferenced: number;
};

/**
 * A copy that no row points at: of a record that lost its place, whose commit failed, or whose row was deleted.
 * `offset` is that of the payload in a segment of which other copies have rows.
 */
export type UnreferencedCopy = { readonly objectKey: string; readonly offset: number | undefined };

export type PayloadPassOptions = {
  readonly ledger: LedgerSnapshot;
  readonly copies: PayloadCopies;
  readonly findings: Findings;
  /** Kept up to date meanwhile. */
  readonly counts: PayloadCounts;
  /** Whether to look for objects without a row: not where the snapshot is of some devices only. */
  readonly listed: boolean;
  readonly onObject: () => void;
  readonly onUnreferenced: (copy: UnreferencedCopy) => void;
  readonly signal: AbortSignal;
};

/** Reads every payload that a row points at, each object once, and hashes it; compares the record stored beside it. */
export async function auditPayloads(options: PayloadPassOptions): Promise<void> {
  const { ledger, copies, findings, counts, listed, onObject, onUnreferenced, signal } = options;
  const groups = groupByObject(ledger.locations());
  const objects = listed ? withListing(groups, copies.list(signal)) : groups;
  for await (const { rows, mismatches, unreferenced } of mapAhead(objects, objectsAhead, (group) =>
    checkObject(group, copies),
  )) {
    signal.throwIfAborted();
    for (const [index, row] of rows.entries()) findings.add(row, mismatches[index]);
    for (const copy of unreferenced) onUnreferenced(copy);
    counts.objects++;
    counts.payloads += rows.length;
    counts.payloadBytes += rows.reduce((sum, { location }) => sum + location.bytes, 0);
    counts.unreferenced += unreferenced.length;
    onObject();
  }
}

type CheckedObject = {
  readonly rows: readonly LocatedRecord[];
  /** Of each row. */
  readonly mismatches: readonly (Mismatch | undefined)[];
  readonly unreferenced: readonly UnreferencedCopy[];
};

async function checkObject({ key, rows, object }: ObjectGroup, copies: PayloadCopies): Promise<CheckedObject> {
  if (rows.length === 0) return { rows, mismatches: [], unreferenced: [{ objectKey: key, offset: undefined }] };
  if (object === undefined || rows.some(({ location }) => location.offset === undefined)) {
    const mismatches: (Mismatch | undefined)[] = [];
    for (const row of rows) mismatches.push(copyMismatch(row, await copies.read(row.location)));
    return { rows, mismatches, unreferenced: [] };
  }
  const content = await copies.readSegment(object);
  if ('damage' in content) {
    const mismatch = { problem: 'its segment is damaged', expected: `a whole segment ${key}`, actual: content.damage };
    return { rows, mismatches: rows.map(() => mismatch), unreferenced: [] };
  }
  const copyAt = ({ offset }: PayloadLocation) => (offset === undefined ? undefined : content.get(offset));
  const taken = new Set(rows.map(({ location }) => location.offset));
  return {
    rows,
    mismatches: rows.map((row) => copyMismatch(row, copyAt(row.location))),
    unreferenced: [...content.keys()].flatMap((offset) => (taken.has(offset) ? [] : [{ objectKey: key, offset }])),
  };
}

function copyMismatch({ payloadHash, recordHash, location }: LocatedRecord, copy: StoredCopy | undefined) {
  const { objectKey, offset, bytes } = location;
  const where = offset === undefined ? objectKey : `${objectKey} at ${offset}`;
  if (copy?.payload.length !== bytes)
    return {
      problem: 'its payload is not in the payload store',
      expected: `${bytes} bytes in ${where}`,
      actual: copy === undefined ? 'no such bytes' : `${copy.payload.length} bytes`,
    };
  return (
    hashMismatch(
      `the payload in ${where} is not the one that was admitted`,
      'payload_hash',
      payloadHash,
      copy.payload,
    ) ??
    hashMismatch(
      `the record beside the payload in ${where} is not that of the ledger`,
      'record_hash',
      recordHash,
      copy.record,
    )
  );
}

function hashMismatch(
  problem: string,
  name: string,
  expected: Buffer,
  bytes: Buffer | undefined,
): Mismatch | undefined {
  const actual = bytes && blake3Hash(bytes);
  if (actual?.equals(expected)) return undefined;
  return { problem, expected: `${name} ${expected.toString('hex')}`, actual: actual?.toString('hex') ?? 'none' };
}
