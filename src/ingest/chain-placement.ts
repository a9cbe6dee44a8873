import { judgeLink } from '../record/chain.ts';
import type { ChainHead } from '../record/record.ts';
import { type Rejection, reject } from '../record/rejection.ts';
import { Batcher } from './batcher.ts';
import type { Candidate } from './candidate.ts';
import { CommitQueue } from './commit-queue.ts';
import { HeadCache } from './head-cache.ts';
import { type Clock, type Ledger, type Observer, type PayloadStore, type RecordPlace, Unavailable } from './ports.ts';
import { type LoggedRefusal, type Refusal, RefusalLog } from './refusal-log.ts';
import { type Departure, Run, type RunEntry } from './run.ts';
import { Signals } from './signals.ts';
import type { Rate } from './token-bucket.ts';

/** First and longest pause between two looks at the ledger while a predecessor is awaited. */
const lookPauseMs = { first: 5, longest: 100 };
/** Heads or record hashes read by one query. */
const lookupsPerQueryMax = 512;

export type PlacementOptions = {
  readonly ledger: Ledger;
  readonly payloadStore: PayloadStore;
  readonly observer: Observer;
  readonly clock: Clock;
  readonly headsMax: number;
  readonly predecessorWaitMs: number;
  readonly refusalRows: Rate;
};

/**
 * Where in its device's chain a record goes: the pod's remembered heads, the runs in flight that hang on them, and the
 * queue that commits the runs. A remembered head only predicts; what it cannot place is judged against a fresh one.
 */
export class ChainPlacement {
  readonly #options: PlacementOptions;
  readonly #heads: HeadCache;
  readonly #runs = new Map<string, Run>();
  readonly #changes: Signals;
  readonly #commits: CommitQueue;
  readonly #refusals: RefusalLog;
  readonly #headReads: Batcher<string, ChainHead>;
  readonly #hashReads: Batcher<RecordPlace, Buffer | undefined>;
  #storing = 0;

  constructor(options: PlacementOptions) {
    const { ledger, clock } = options;
    this.#options = options;
    this.#heads = new HeadCache(options.headsMax);
    this.#changes = new Signals(clock);
    const lookups = { defer: clock.defer, itemsMax: lookupsPerQueryMax };
    this.#headReads = new Batcher({ ...lookups, run: (ids: readonly string[]) => readHeadsOnce(ledger, ids) });
    this.#hashReads = new Batcher({ ...lookups, run: (at: readonly RecordPlace[]) => ledger.readRecordHashes(at) });
    this.#commits = new CommitQueue({
      ...options,
      storing: () => this.#storing,
      onCommitted: (run, head) => {
        this.#heads.advance(run.deviceId, head);
        this.#runChanged(run);
      },
      onDissolved: (run) => this.#runChanged(run),
    });
    this.#refusals = new RefusalLog({
      clock,
      commit: (row) => this.#commits.reject(row),
      rowsOfSource: options.refusalRows,
    });
  }

  get commitsQueued(): number {
    return this.#commits.queued;
  }

  /** Makes a refusal durable in the operation log. */
  reject(refusal: Refusal): Promise<LoggedRefusal> {
    return this.#refusals.log(refusal);
  }

  /** What is remembered of the device has proved wrong. */
  forget(deviceId: string): void {
    this.#heads.forget(deviceId);
  }

  /** Learns the device's committed head anew. */
  async readHead(deviceId: string): Promise<ChainHead> {
    const head = await this.#headReads.add(deviceId);
    this.#heads.advance(deviceId, head);
    return head;
  }

  /** Whether a record may be there already, as far as this pod remembers. */
  mayBeUsed({ deviceId, sequence }: RecordPlace): boolean {
    const head = this.#heads.get(deviceId);
    return head === undefined || sequence <= head.sequence;
  }

  /** The rejection of a record that is in the ledger already, undefined when it is not there. */
  async findRetry({ envelope: { record }, admitted }: Candidate): Promise<Rejection | undefined> {
    const { deviceId, sequence } = record;
    const there = await this.#hashReads.add({ deviceId, sequence });
    if (there === undefined || admitted?.recordHash.equals(there) !== true) return undefined;
    // Read after the record was there, so that what the device is to send next is behind it.
    const head = await this.readHead(deviceId);
    return reject.used(record, true, head.sequence + 1n);
  }

  /** Finds the record's place in its device's chain: the entry of a run, or why there is none. */
  async place(candidate: Candidate, revision: bigint): Promise<RunEntry | Rejection> {
    const { record } = candidate.envelope;
    const { deviceId } = record;
    const { clock, observer } = this.#options;
    const startMs = clock.now();
    const deadlineMs = startMs + this.#options.predecessorWaitMs;
    let pauseMs = lookPauseMs.first;
    // Whether the committed head has been read since the last wait: only a fresh head can refuse.
    let fresh = false;
    for (;;) {
      const run = this.#runs.get(deviceId);
      const committed = this.#heads.get(deviceId);
      if (!fresh && run === undefined) observer.headLookup(committed !== undefined);
      if (committed === undefined) {
        await this.readHead(deviceId);
        fresh = true;
        continue;
      }
      if (run !== undefined && committed.sequence >= run.tail.sequence) {
        // The ledger has reached the run's end: its commit is about to answer, as done or as lost.
        await run.last?.departed;
        fresh = false;
        continue;
      }
      const link = judgeLink(run?.tail ?? committed, record);
      if (link === 'fits') {
        observer.stage('place', startMs, clock.now(), candidate.sender);
        return this.#append(candidate, run ?? this.#openRun(deviceId, committed), revision);
      }
      const rival = link === 'used' ? run?.entryAt(record.sequence) : undefined;
      if (rival !== undefined) await rival.departed;
      else if (link === 'wrong-link' && run !== undefined) {
        // The tail is only proposed; it may not be what gets committed.
        await run.last?.departed;
      } else if (!fresh) {
        // Forgotten first: should the ledger have lost commits, what it says now counts, not what was once true.
        this.#heads.forget(deviceId);
        await this.readHead(deviceId);
        fresh = true;
        continue;
      } else if (link === 'used') {
        return this.#refuseUsed(candidate, committed);
      } else if (link === 'wrong-link') {
        return reject.invalidPreviousHash(record);
      } else {
        const leftMs = deadlineMs - clock.now();
        if (leftMs <= 0) return reject.invalidSequence(record, committed.sequence + 1n);
        await this.#changes.wait(deviceId, Math.min(pauseMs, leftMs));
        pauseMs = Math.min(2 * pauseMs, lookPauseMs.longest);
      }
      fresh = false;
    }
  }

  /** The sequence is used. By the very same record it is a retry, by another one equivocation. */
  async #refuseUsed(candidate: Candidate, committed: ChainHead): Promise<Rejection> {
    const { deviceId, sequence } = candidate.envelope.record;
    const there = await this.#hashReads.add({ deviceId, sequence });
    if (there === undefined) throw new Unavailable('ledger', `no record at device=${deviceId} sequence=${sequence}`);
    const identical = candidate.admitted?.recordHash.equals(there) ?? false;
    return reject.used(candidate.envelope.record, identical, committed.sequence + 1n);
  }

  #openRun(deviceId: string, committed: ChainHead): Run {
    const run = new Run(deviceId, committed);
    this.#runs.set(deviceId, run);
    return run;
  }

  #append(candidate: Candidate, run: Run, revision: bigint): RunEntry {
    const { admitted, sender, decisionId, clockSkew } = candidate;
    const { clock, observer, payloadStore } = this.#options;
    if (admitted === undefined) throw new Error('a record was placed before it was verified');
    const { promise: departed, resolve: depart } = Promise.withResolvers<Departure>();
    const clockSkewMs = clockSkew.flagged ? clockSkew.ms : undefined;
    const entry: RunEntry = { admitted, decisionId, revision, clockSkewMs, location: undefined, departed, depart };
    run.append(entry);
    candidate.admission.place();
    this.#changes.notify(run.deviceId);
    const startMs = clock.now();
    candidate.stored ??= payloadStore.put(admitted);
    this.#storing++;
    candidate.stored.then(
      (location) => {
        this.#storing--;
        const storedMs = clock.now();
        observer.stage('payload_put', startMs, storedMs, sender);
        entry.location = location;
        this.#commits.stored(run);
        void departed.then(() => observer.stage('commit', storedMs, clock.now(), sender));
      },
      (error: unknown) => {
        this.#storing--;
        observer.failed(
          error instanceof Unavailable ? error : new Unavailable('payload_store', 'put failed', { cause: error }),
        );
        run.cut(entry, 'payload_store_unavailable');
        this.#runChanged(run);
      },
    );
    return entry;
  }

  #runChanged(run: Run): void {
    if (run.empty && this.#runs.get(run.deviceId) === run) this.#runs.delete(run.deviceId);
    this.#changes.notify(run.deviceId);
  }
}

/** The lines of a batch ask for one head many times. */
async function readHeadsOnce(ledger: Ledger, deviceIds: readonly string[]): Promise<readonly ChainHead[]> {
  const unique = [...new Set(deviceIds)];
  const heads = await ledger.readHeads(unique);
  const byDevice = new Map(unique.map((id, index) => [id, heads[index]]));
  return deviceIds.flatMap((id) => byDevice.get(id) ?? []);
}
