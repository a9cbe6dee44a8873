import type { DatabaseSync, StatementSync } from 'node:sqlite';
import {
  type AdmittedRecord,
  BatchRefused,
  type CommitBatch,
  type Ledger,
  type PayloadLocation,
  type PayloadStore,
  type ProposedRun,
  type RecordPlace,
  type RejectedDecision,
  Unavailable,
} from '../ingest/ports.ts';
import { type ChainHead, genesis } from '../record/record.ts';
import type { ChainLinks } from './chain-links.ts';
import type { ChainStart } from './chain-start.ts';
import type { ForwardQueue } from './forward-queue.ts';
import { inTransaction } from './relay-database.ts';

/** Refusals kept, the newest ones: whoever floods the site with bad records must not fill its disk. */
const rejectionsMax = 100_000;

/**
 * A payload on its way. It waits in memory, and becomes durable in the very transaction that makes its record durable:
 * a crash leaves both or neither.
 */
class HeldPayload implements PayloadLocation {
  readonly objectKey: string;
  readonly offset = undefined;
  readonly bytes: number;
  readonly admitted: AdmittedRecord;

  constructor(admitted: AdmittedRecord) {
    this.objectKey = `records/${admitted.recordHash.toString('hex')}`;
    this.bytes = admitted.payload.length;
    this.admitted = admitted;
  }
}

/** For RelayLedger alone, which commits what is put here. */
export const heldPayloads: PayloadStore = {
  put: (admitted) => Promise.resolve(new HeldPayload(admitted)),
};

export type RelayLedgerOptions = {
  readonly database: DatabaseSync;
  readonly links: ChainLinks;
  readonly queue: ForwardQueue;
  readonly chainStart: ChainStart;
  /** Bound on the records and payloads that wait for the centre. */
  readonly queueBytesMax: number;
  readonly now: () => number;
};

/**
 * The ledger of a site over SQLite. Its calls are synchronous and hold up the event loop: measured, a commit takes
 * 0.4 ms for one record, 13 ms for 1,024 of 1 KiB, and 50 ms for those behind a backlog of 300,000, most of it the wait
 * for the disk. Group commit keeps them few.
 */
export class RelayLedger implements Ledger {
  readonly #options: RelayLedgerOptions;
  readonly #reject: StatementSync;
  readonly #forgetRejections: StatementSync;

  constructor(options: RelayLedgerOptions) {
    const { database } = options;
    this.#options = options;
    this.#reject = database.prepare(
      `INSERT INTO rejections (decision_id, device_id, sequence, code, message, evidence, rejected_ms)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#forgetRejections = database.prepare('DELETE FROM rejections WHERE position <= ?');
  }

  async commit({ runs, rejections }: CommitBatch): Promise<ReadonlySet<string>> {
    const { database, queue } = this.#options;
    const inserted = sqlite('writing the queue failed', () =>
      inTransaction(database, () => {
        this.#assertRoom(runs);
        for (const rejection of rejections) this.#log(rejection);
        return new Set(runs.filter((run) => this.#append(run)).map(({ deviceId }) => deviceId));
      }),
    );
    if (inserted.size > 0) queue.notifyChanged();
    return inserted;
  }

  readHeads(deviceIds: readonly string[]): Promise<readonly ChainHead[]> {
    const { chainStart } = this.#options;
    return Promise.all(deviceIds.map((id) => chainStart.head(id))).catch((error: unknown) => {
      throw unavailable('reading heads failed', error);
    });
  }

  async readRecordHashes(places: readonly RecordPlace[]): Promise<readonly (Buffer | undefined)[]> {
    const { links } = this.#options;
    return sqlite('reading links failed', () =>
      places.map(({ deviceId, sequence }) => links.hashAt(deviceId, sequence)),
    );
  }

  /** @throws BatchRefused: admission then tries the parts of the batch, so that the queue is filled, and refusals are kept */
  #assertRoom(runs: readonly ProposedRun[]): void {
    const { queue, queueBytesMax } = this.#options;
    if (runs.length === 0) return;
    let bytes = queue.figures().bytes;
    for (const { encoded, payload } of runs.flatMap(admittedOf)) bytes += encoded.length + payload.length;
    if (bytes > queueBytesMax)
      throw new BatchRefused('ledger', `the queue for the centre is full: ${queueBytesMax} bytes`);
  }

  /** False when the chain has another head than the one that the run was judged against. */
  #append(run: ProposedRun): boolean {
    const { links, queue } = this.#options;
    const head = links.head(run.deviceId) ?? genesis;
    if (run.records[0]?.record.sequence !== head.sequence + 1n) return false;
    for (const admitted of admittedOf(run)) {
      links.add(run.deviceId, { sequence: admitted.record.sequence, recordHash: admitted.recordHash });
      queue.append(admitted);
    }
    return true;
  }

  /** A row that stands for several refusals says how many in its message. */
  #log({ decisionId, deviceId, sequence, code, message, evidence }: RejectedDecision): void {
    const rejectedMs = Math.trunc(this.#options.now());
    const record = evidence?.encoded ?? null;
    const { lastInsertRowid } = this.#reject.run(decisionId, deviceId, sequence, code, message, record, rejectedMs);
    this.#forgetRejections.run(Number(lastInsertRowid) - rejectionsMax);
  }
}

function admittedOf({ records }: ProposedRun): AdmittedRecord[] {
  return records.map(({ location }) => {
    if (!(location instanceof HeldPayload)) throw new Error('a payload that was put elsewhere');
    return location.admitted;
  });
}

function sqlite<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw unavailable(what, error);
  }
}

function unavailable(what: string, cause: unknown): Unavailable {
  if (cause instanceof Unavailable) return cause;
  return new Unavailable('ledger', `${what}: ${(cause as Error).message}`, { cause });
}
