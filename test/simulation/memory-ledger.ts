import {
  BatchRefused,
  type CommitBatch,
  type ProposedRecord,
  type ProposedRun,
  type RecordPlace,
} from '../../src/ingest/ports.ts';
import type { Device } from '../../src/record/device.ts';
import { type ChainHead, genesis } from '../../src/record/record.ts';
import type { Registry } from './registry.ts';
import type { Scheduler } from './scheduler.ts';

/** A row of audit_records, with the device as it was when the row was committed. */
export type Row = ProposedRecord & { readonly committedMs: number; readonly device: Device | undefined };

export type LogRow = {
  readonly decision: 'Accepted' | 'Rejected';
  readonly deviceId: string;
  readonly sequence: bigint;
  readonly code: string | undefined;
  /** How many decisions it stands for. */
  readonly count: number;
};

/** The ledger that all replicas share: the meaning of src/ledger/commit.sql.ts, each call one atomic step. */
export class MemoryLedger {
  readonly registry: Registry;
  readonly scheduler: Scheduler;
  /** By device, in the order of insertion. */
  readonly rows = new Map<string, Row[]>();
  /** By decision id. */
  readonly log = new Map<string, LogRow>();
  /** Record hashes in hex. */
  readonly evidence = new Set<string>();
  /** Record hashes in hex that the ledger cannot hold. */
  readonly poisoned = new Set<string>();

  constructor(registry: Registry, scheduler: Scheduler) {
    this.registry = registry;
    this.scheduler = scheduler;
  }

  /** @throws BatchRefused and changes nothing */
  commit({ runs, rejections }: CommitBatch): Set<string> {
    const winners = runs.filter((run) => this.admits(run));
    for (const { records } of runs) {
      if (records.some(({ recordHash }) => this.poisoned.has(recordHash.toString('hex'))))
        throw new BatchRefused('ledger', 'a value that the ledger cannot hold');
    }
    for (const { deviceId, records } of winners) {
      if (records.some(({ record }) => this.taken(deviceId, record.sequence)))
        throw new BatchRefused('ledger', 'the rest of a run met the fence');
    }
    for (const { records } of winners) for (const proposed of records) this.insert(proposed);
    for (const { decisionId, deviceId, sequence, code, count, evidence } of rejections) {
      this.#write(decisionId, { decision: 'Rejected', deviceId, sequence, code, count });
      if (evidence !== undefined) this.evidence.add(evidence.recordHash.toString('hex'));
    }
    return new Set(winners.map(({ deviceId }) => deviceId));
  }

  readHeads(deviceIds: readonly string[]): ChainHead[] {
    return deviceIds.map((id) => {
      const rows = this.rows.get(id) ?? [];
      return rows.reduce<ChainHead>(
        (head, { record, recordHash }) =>
          record.sequence > head.sequence ? { sequence: record.sequence, recordHash } : head,
        genesis,
      );
    });
  }

  readRecordHashes(places: readonly RecordPlace[]): (Buffer | undefined)[] {
    return places.map(({ deviceId, sequence }) => this.rowAt(deviceId, sequence)?.recordHash);
  }

  rowAt(deviceId: string, sequence: bigint): Row | undefined {
    return this.rows.get(deviceId)?.find(({ record }) => record.sequence === sequence);
  }

  protected admits({ deviceId, revision, records: [first] }: ProposedRun): boolean {
    return first !== undefined && this.unchanged(deviceId, revision) && !this.taken(deviceId, first.record.sequence);
  }

  /** Whether the device is as it was when its records were judged. */
  protected unchanged(deviceId: string, revision: bigint): boolean {
    return this.registry.current(deviceId)?.revision === revision;
  }

  /** The fence. */
  protected taken(deviceId: string, sequence: bigint): boolean {
    return this.rowAt(deviceId, sequence) !== undefined;
  }

  protected insert(proposed: ProposedRecord): void {
    const { deviceId, sequence } = proposed.record;
    const row = { ...proposed, committedMs: this.scheduler.nowMs, device: this.registry.current(deviceId) };
    const rows = this.rows.get(deviceId) ?? [];
    rows.push(row);
    this.rows.set(deviceId, rows);
    this.#write(proposed.decisionId, { decision: 'Accepted', deviceId, sequence, code: undefined, count: 1 });
  }

  #write(decisionId: string, row: LogRow): void {
    // The table has no unique constraint: a second row of one decision must show.
    this.log.set(this.log.has(decisionId) ? `${decisionId} again, ${this.log.size}` : decisionId, row);
  }
}
