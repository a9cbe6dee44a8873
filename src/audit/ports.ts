/** What the audit reads. The adapters are ledger/ledger-snapshot.ts and payload-store/payload-copies.ts. */
import type { PayloadLocation } from '../ingest/ports.ts';
import type { Device } from '../record/device.ts';
import type { DeviceRecord } from '../record/record.ts';

/** A row of the ledger: the record and what admission computed of it. */
export type LedgerRecord = {
  readonly record: DeviceRecord;
  readonly recordHash: Buffer;
  readonly ingestedAtMs: number;
  /** Where it was past the tolerance at admission, as in ProposedRecord. */
  readonly clockSkewMs: bigint | undefined;
};

/** The same row as the payload store is checked against. */
export type LocatedRecord = {
  readonly deviceId: string;
  readonly sequence: bigint;
  readonly payloadHash: Buffer;
  readonly recordHash: Buffer;
  readonly location: PayloadLocation;
};

/** A place where ledger and operation log differ: which of the two has nothing there. */
export type LogDifference = {
  readonly deviceId: string;
  readonly sequence: bigint;
  readonly missingFrom: 'ledger' | 'log';
};

/** A kept equivocation, and what the ledger has at the place that it claims. */
export type Equivocation = {
  readonly deviceId: string;
  readonly sequence: bigint;
  readonly recordHash: Buffer;
  readonly encoded: Buffer;
  readonly receivedAtMs: number;
  readonly ledgerRecordHash: Buffer | undefined;
};

export type LedgerCounts = {
  readonly devicesRegistered: number;
  /** Refusals, whether they have a row each or share one; one that several devices share is counted for none of them. */
  readonly rejectedDecisions: number;
  /** The oldest row of the operation log; what came before is past its retention. Undefined when it is empty. */
  readonly logKeptSinceMs: number | undefined;
};

/**
 * The ledger as it was at one moment, whatever is committed meanwhile. Rows come in pages, so that memory does not grow
 * with the ledger. One iteration at a time.
 */
export interface LedgerSnapshot {
  counts(): Promise<LedgerCounts>;
  devices(ids: readonly string[]): Promise<ReadonlyMap<string, Device>>;
  /** A device's records together, by ascending sequence. */
  records(): AsyncIterable<readonly LedgerRecord[]>;
  /** By ascending object key, in the order of its UTF-8 bytes, then by offset. */
  locations(): AsyncIterable<readonly LocatedRecord[]>;
  /** By ascending device and sequence, over the time that the operation log is kept for. */
  logDifferences(): AsyncIterable<readonly LogDifference[]>;
  equivocations(): AsyncIterable<readonly Equivocation[]>;
}

export type StoredObject = { readonly key: string; readonly bytes: number };
/** A payload and, beside it, the postcard encoding of its record. */
export type StoredCopy = { readonly payload: Buffer; readonly record: Buffer | undefined };
/** The copies in a segment by their payload's offset, or why it is none. */
export type SegmentContent = ReadonlyMap<number, StoredCopy> | { readonly damage: string };

/** The payload store. Every method rejects with Unavailable when the store cannot answer. */
export interface PayloadCopies {
  /** Every object in ascending order of its key's UTF-8 bytes. */
  list(signal: AbortSignal): AsyncIterable<StoredObject>;
  /** What lies at the location, undefined where the store has no such bytes. */
  read(location: PayloadLocation): Promise<StoredCopy | undefined>;
  readSegment(object: StoredObject): Promise<SegmentContent>;
}
