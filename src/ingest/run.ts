import type { ChainHead } from '../record/record.ts';
import type { UnavailableCode } from '../record/rejection.ts';
import type { AdmittedRecord, PayloadLocation } from './ports.ts';

/**
 * How a record left its run: `committed`; `lost` the place was taken or the device changed, judge it again;
 * or a failure of ours.
 */
export type Departure = 'committed' | 'lost' | UnavailableCode;

/** A record on its way to the ledger. */
export type RunEntry = {
  readonly admitted: AdmittedRecord;
  readonly decisionId: string;
  readonly revision: bigint;
  /** As in ProposedRecord. */
  readonly clockSkewMs: bigint | undefined;
  /** Known once the payload is durable. */
  location: PayloadLocation | undefined;
  readonly departed: Promise<Departure>;
  readonly depart: (departure: Departure) => void;
};

/**
 * The records of one device in flight in this pod: the first links to a committed head, each next one to the one before
 * it, so that n+1 can be judged while n is still being stored.
 */
export class Run {
  readonly deviceId: string;
  #committed: ChainHead;
  #entries: RunEntry[] = [];
  #committing = 0;

  constructor(deviceId: string, committed: ChainHead) {
    this.deviceId = deviceId;
    this.#committed = committed;
  }

  /** The head that the next record has to link to, if all goes well. */
  get tail(): ChainHead {
    const last = this.#entries.at(-1)?.admitted;
    return last === undefined ? this.#committed : { sequence: last.record.sequence, recordHash: last.recordHash };
  }

  get last(): RunEntry | undefined {
    return this.#entries.at(-1);
  }

  get empty(): boolean {
    return this.#entries.length === 0;
  }

  /** Its first records have their payloads stored, and none is being committed. */
  get ready(): boolean {
    return this.#committing === 0 && this.#entries[0]?.location !== undefined;
  }

  append(entry: RunEntry): void {
    this.#entries.push(entry);
  }

  entryAt(sequence: bigint): RunEntry | undefined {
    return this.#entries[Number(sequence - this.#committed.sequence) - 1];
  }

  /** Its first records that can be committed now, at most `rowsMax`, all judged under one revision of the device. */
  take(rowsMax: number): readonly RunEntry[] {
    const revision = this.#entries[0]?.revision;
    const end = this.#entries.findIndex(
      (entry, index) => index === rowsMax || entry.location === undefined || entry.revision !== revision,
    );
    this.#committing = end < 0 ? this.#entries.length : end;
    return this.#entries.slice(0, this.#committing);
  }

  /** What take() gave is in the ledger. Answers the new committed head. */
  commit(): ChainHead {
    const committed = this.#entries.splice(0, this.#committing);
    this.#committing = 0;
    for (const { admitted, depart } of committed) {
      this.#committed = { sequence: admitted.record.sequence, recordHash: admitted.recordHash };
      depart('committed');
    }
    return this.#committed;
  }

  /** Gives up every record: none can be committed before the one that failed. */
  dissolve(departure: Exclude<Departure, 'committed'>): void {
    for (const { depart } of this.#entries.splice(0)) depart(departure);
    this.#committing = 0;
  }

  /** Gives up `failed` and what is behind it. What is before it is not concerned. */
  cut(failed: RunEntry, departure: Exclude<Departure, 'committed'>): void {
    const index = this.#entries.indexOf(failed);
    if (index < 0) return;
    for (const { depart } of this.#entries.splice(index)) depart(departure);
  }
}
