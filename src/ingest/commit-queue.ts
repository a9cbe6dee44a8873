import type { ChainHead } from '../record/record.ts';
import type { UnavailableCode } from '../record/rejection.ts';
import {
  BatchRefused,
  type Clock,
  type CommitBatch,
  type Ledger,
  type Observer,
  OutcomeUnknown,
  type ProposedRun,
  type RejectedDecision,
  Unavailable,
} from './ports.ts';
import type { Run, RunEntry } from './run.ts';

/** Rows of one statement: past a few hundred the cost of a row is flat, and a failed statement is retried in parts. */
const rowsMax = 1024;
/**
 * A statement costs the pod and Postgres the better part of a millisecond of CPU each, whatever its rows. So while several
 * times as many records are about to be stored as are ready, it waits for some of them; it does not where a record is
 * alone. One object a record makes them ready one by one, at some milliseconds each: without this, a row a statement.
 */
const gatherMs = 10;
const gatherRatio = 2;

type QueuedRejection = {
  readonly decision: RejectedDecision;
  readonly answer: (outcome: 'committed' | UnavailableCode) => void;
};

export type CommitQueueOptions = {
  readonly ledger: Ledger;
  readonly observer: Observer;
  readonly clock: Pick<Clock, 'defer' | 'sleep'>;
  /** How many records' payloads are on their way to the store. */
  readonly storing: () => number;
  /** The run has a new committed head. */
  readonly onCommitted: (run: Run, head: ChainHead) => void;
  /** The run was given up. */
  readonly onDissolved: (run: Run) => void;
};

/**
 * Group commit: one statement at a time, over whatever has queued while the last one ran. One at a time because what
 * queues meanwhile makes the next one larger, and a larger one costs less a row.
 */
export class CommitQueue {
  readonly #options: CommitQueueOptions;
  readonly #ready = new Set<Run>();
  #rejections: QueuedRejection[] = [];
  #busy = false;

  constructor(options: CommitQueueOptions) {
    this.#options = options;
  }

  /** Runs and refusals that wait for the next statement. */
  get queued(): number {
    return this.#ready.size + this.#rejections.length;
  }

  /** Something of this run has become durable in the payload store. */
  stored(run: Run): void {
    if (!run.ready) return;
    this.#ready.add(run);
    this.#schedule();
  }

  reject(decision: RejectedDecision): Promise<'committed' | UnavailableCode> {
    const { promise, resolve } = Promise.withResolvers<'committed' | UnavailableCode>();
    this.#rejections.push({ decision, answer: resolve });
    this.#schedule();
    return promise;
  }

  #schedule(): void {
    if (this.#busy || this.queued === 0) return;
    this.#busy = true;
    const { clock, storing } = this.#options;
    if (storing() > gatherRatio * this.queued) void clock.sleep(gatherMs).then(() => this.#commit());
    else clock.defer(() => void this.#commit());
  }

  async #commit(): Promise<void> {
    const runs = this.#takeRuns();
    await this.#settle({ runs, rejections: this.#rejections.splice(0, rowsMax) });
    this.#busy = false;
    for (const { run } of runs) this.stored(run);
    this.#schedule();
  }

  #takeRuns(): TakenRun[] {
    const taken: TakenRun[] = [];
    let rows = 0;
    for (const run of this.#ready) {
      if (rows >= rowsMax) break;
      this.#ready.delete(run);
      // A put that failed may have emptied the run since it was queued.
      if (!run.ready) continue;
      const entries = run.take(rowsMax - rows);
      rows += entries.length;
      taken.push({ run, entries });
    }
    return taken;
  }

  /** Commits what was taken and lets every record of it depart. Never throws. */
  async #settle(taken: Taken): Promise<void> {
    if (taken.runs.length + taken.rejections.length === 0) return;
    const batch: CommitBatch = {
      runs: taken.runs.map(propose),
      rejections: taken.rejections.map(({ decision }) => decision),
    };
    try {
      this.#conclude(taken, await this.#options.ledger.commit(batch));
    } catch (error) {
      if (error instanceof BatchRefused && taken.runs.length + taken.rejections.length > 1) {
        // The edge should have refused the culprit. Its neighbours must not suffer: halve until it stands alone.
        for (const part of halves(taken)) await this.#settle(part);
        return;
      }
      const failure =
        error instanceof Unavailable ? error : new Unavailable('internal', 'commit failed', { cause: error });
      this.#options.observer.failed(failure);
      const there = error instanceof OutcomeUnknown ? await this.#ask(batch) : new Set<string>();
      const code = failure.component === 'internal' ? 'internal_error' : 'ledger_unavailable';
      for (const { run } of taken.runs) {
        if (there.has(run.deviceId)) this.#advance(run);
        else this.#dissolve(run, code);
      }
      for (const { answer } of taken.rejections) answer(code);
    }
  }

  #conclude({ runs, rejections }: Taken, inserted: ReadonlySet<string>): void {
    let rows = rejections.length;
    for (const { run, entries } of runs) {
      rows += entries.length;
      if (inserted.has(run.deviceId)) this.#advance(run);
      else this.#dissolve(run, 'lost');
    }
    for (const { answer } of rejections) answer('committed');
    this.#options.observer.committed(rows, runs.length - inserted.size);
  }

  /**
   * After a commit of unknown outcome: which runs are in the ledger for certain. A run that is not there may still be
   * put there by a backend that has not noticed the loss, so absence decides nothing.
   */
  async #ask({ runs }: CommitBatch): Promise<ReadonlySet<string>> {
    const last = runs.flatMap(({ records }) => records.slice(-1));
    try {
      const places = last.map(({ record: { deviceId, sequence } }) => ({ deviceId, sequence }));
      const found = await this.#options.ledger.readRecordHashes(places);
      const there = last.filter(({ recordHash }, index) => found[index]?.equals(recordHash));
      return new Set(there.map(({ record }) => record.deviceId));
    } catch {
      // The ledger is still away; that it failed has been told already.
      return new Set();
    }
  }

  #advance(run: Run): void {
    this.#options.onCommitted(run, run.commit());
  }

  #dissolve(run: Run, departure: 'lost' | UnavailableCode): void {
    run.dissolve(departure);
    this.#options.onDissolved(run);
  }
}

type Taken = { readonly runs: readonly TakenRun[]; readonly rejections: readonly QueuedRejection[] };
type TakenRun = { readonly run: Run; readonly entries: readonly RunEntry[] };

function propose({ run, entries }: TakenRun): ProposedRun {
  return {
    deviceId: run.deviceId,
    revision: entries[0]?.revision ?? 0n,
    records: entries.map(({ admitted: { record, recordHash }, decisionId, location, clockSkewMs }) => {
      if (location === undefined) throw new Error('a record without a stored payload was taken for commit');
      return { decisionId, record, recordHash, location, clockSkewMs };
    }),
  };
}

function halves({ runs, rejections }: Taken): Taken[] {
  if (runs.length > 0 && rejections.length > 0)
    return [
      { runs, rejections: [] },
      { runs: [], rejections },
    ];
  const half = Math.ceil(Math.max(runs.length, rejections.length) / 2);
  return [
    { runs: runs.slice(0, half), rejections: rejections.slice(0, half) },
    { runs: runs.slice(half), rejections: rejections.slice(half) },
  ];
}
