import type { Admission } from '../../src/ingest/admission.ts';
import type { IngestBounds } from '../../src/ingest/ingest.ts';
import { type Observer, Unavailable } from '../../src/ingest/ports.ts';
import type { Rate } from '../../src/ingest/token-bucket.ts';
import type { Verdict } from '../../src/ingest/verdict.ts';
import type { Device } from '../../src/record/device.ts';
import type { ChainHead, Envelope } from '../../src/record/record.ts';
import { type Attempt, describeVerdict, nameOf } from './attempt.ts';
import type { DeviceModel } from './device-model.ts';
import type { MemoryLedger } from './memory-ledger.ts';
import type { MemoryObjects } from './memory-objects.ts';
import { directoryLagMs, Replica, type ReplicaDirectory } from './replica.ts';
import { type VerdictCheckOptions, verdictFault } from './verdict-check.ts';
import { count, type Network } from './wire.ts';

/** How often a replica asks the registry for changes that it was not told of. */
const pollEveryMs = 500;

const roomWaitMs = 50;
/** Where records come from; not every transport tells. */
const origins = [{ address: '192.0.2.1' }, { address: '192.0.2.2' }, { address: undefined }];

type Admitted = { readonly attempt: Attempt; readonly admission: Admission };

export type ClusterOptions = {
  readonly network: Network;
  readonly ledger: MemoryLedger;
  readonly objects: MemoryObjects;
  readonly replicas: number;
  readonly Directory: typeof ReplicaDirectory;
  readonly layout: 'object' | 'segment';
  readonly deviceRate: Rate | undefined;
  readonly bounds: Partial<IngestBounds> & Pick<IngestBounds, 'predecessorWaitMs' | 'clockSkewMaxMs'>;
};

/** The replicas behind their load balancer. Checks every verdict at the moment of its answer. */
export class Cluster {
  readonly network: Network;
  readonly ledger: MemoryLedger;
  readonly objects: MemoryObjects;
  readonly clockSkewMaxMs: number;
  readonly attempts: Attempt[] = [];
  /** What must not have happened. */
  readonly faults: string[] = [];
  readonly registryLagMs: number;
  readonly #options: ClusterOptions;
  readonly #replicas: Replica[] = [];
  readonly #check: VerdictCheckOptions;
  #started = 0;

  constructor(options: ClusterOptions) {
    const { network, ledger, objects, bounds } = options;
    this.#options = options;
    this.network = network;
    this.ledger = ledger;
    this.objects = objects;
    this.clockSkewMaxMs = bounds.clockSkewMaxMs;
    this.registryLagMs = directoryLagMs + network.roundTripMsMax;
    const { predecessorWaitMs } = bounds;
    const { roundTripMsMax } = network;
    this.#check = { ledger, objects, predecessorWaitMs, roundTripMsMax, told: new Map() };
    for (let i = 0; i < options.replicas; i++) this.#replicas.push(this.#start());
  }

  get replicas(): readonly Replica[] {
    return this.#replicas;
  }

  /**
   * Sends records to one replica, where one that is not the first of a batch is judged after the one before it.
   * Undefined for those that got no answer: the replica crashed, or `patienceMs` were over.
   */
  async send(envelopes: readonly Envelope[], patienceMs: number): Promise<(Verdict | undefined)[]> {
    const { scheduler, random } = this.network;
    await scheduler.sleep(this.network.hopMs());
    const replica = random.pick(this.#replicas);
    const impatience = Number.isFinite(patienceMs) ? [scheduler.sleep(patienceMs)] : [];
    const nothing = Promise.race([replica.crash, ...impatience]).then(() => undefined);
    const answers: Promise<Verdict | undefined>[] = [];
    let last: Admitted | undefined;
    for (const envelope of envelopes) {
      last = this.#admit(replica, envelope, last);
      answers.push(Promise.race([last.admission.verdict, nothing]));
      if (envelopes.length > 1) await Promise.race([this.#nextLine(replica), nothing]);
    }
    return Promise.all(answers);
  }

  /** The lines of a batch arrive one by one, and are read when there is room. */
  async #nextLine({ ingest }: Replica): Promise<void> {
    const { scheduler, random } = this.network;
    if (random.chance(0.2)) await scheduler.sleep(this.network.hopMs());
    while (!ingest.hasRoom(1)) await ingest.roomChanged(roomWaitMs);
  }

  #admit(replica: Replica, envelope: Envelope, before: Admitted | undefined): Admitted {
    const { scheduler, counters, trace } = this.network;
    const attempt: Attempt = {
      replica: replica.name,
      envelope,
      arrivedMs: scheduler.nowMs,
      predecessor: before?.attempt,
      decisionId: undefined,
      verdict: undefined,
      lost: false,
    };
    this.attempts.push(attempt);
    trace?.(`${replica.name} receives ${nameOf(envelope)}`);
    const sender = {
      transport: 'http',
      ...this.network.random.pick(origins),
      identities: undefined,
      trace: attempt,
    } as const;
    const admission = replica.ingest.admit(envelope, sender, before?.admission);
    void replica.crash.then(() => {
      attempt.lost = true;
    });
    void admission.verdict.then((verdict) => {
      attempt.verdict = verdict;
      const what = describeVerdict(verdict);
      trace?.(`${replica.name} answers ${nameOf(envelope)}: ${what}`);
      count(counters, `verdict ${what}`);
      const fault = verdictFault(attempt, this.#check);
      if (fault !== undefined) this.fault(`${nameOf(envelope)} at ${replica.name}: ${fault}`);
    });
    return { attempt, admission };
  }

  fault(what: string): void {
    this.network.trace?.(`VIOLATION ${what}`);
    this.faults.push(what);
  }

  /** The device's head as some replica reads it, undefined while none can. */
  async readHead(deviceId: string): Promise<ChainHead | undefined> {
    const { ingest, crash } = this.network.random.pick(this.#replicas);
    try {
      return await Promise.race([ingest.head(deviceId), crash.then(() => undefined)]);
    } catch (error) {
      if (error instanceof Unavailable) return undefined;
      throw error;
    }
  }

  register(model: DeviceModel): void {
    const { scheduler, trace } = this.network;
    trace?.(`registry takes ${model.id}`);
    this.ledger.registry.register(model, scheduler.nowMs);
  }

  /** Every replica is told sooner or later; a telling that is lost is made up for by a poll. */
  changeDevice(deviceId: string, how: (device: Device) => Omit<Device, 'revision'>): void {
    const { scheduler, random, trace } = this.network;
    this.ledger.registry.change(deviceId, scheduler.nowMs, how);
    trace?.(`registry changes ${deviceId}, revision ${this.ledger.registry.current(deviceId)?.revision}`);
    const tell = () => {
      for (const { directory } of this.#replicas) directory.forget(deviceId);
    };
    scheduler.after(random.next() * directoryLagMs, tell);
    for (let ms = directoryLagMs; ms < this.registryLagMs; ms += pollEveryMs) scheduler.after(ms, tell);
    scheduler.after(this.registryLagMs, tell);
  }

  #start(): Replica {
    return new Replica({
      ...this.#options,
      name: `replica-${++this.#started}`,
      observer: this.#observer(),
      crashed: (replica) => this.#replace(replica),
    });
  }

  #replace(replica: Replica): void {
    const index = this.#replicas.indexOf(replica);
    if (index < 0) return;
    count(this.network.counters, 'crashes');
    this.network.trace?.(`${replica.name} CRASHES`);
    this.#replicas[index] = this.#start();
  }

  #observer(): Observer {
    const { counters } = this.network;
    return {
      decided: (_verdict, _record, sender, decisionId) => {
        (sender.trace as Attempt).decisionId = decisionId;
      },
      failed: (error) => {
        count(counters, `failed ${error.name}`);
        if (error.component === 'internal') this.fault(`I6: ${error.message}: ${describeCause(error.cause)}`);
      },
      stage: () => {},
      clockSkew: () => {},
      committed: (rows, lostRuns) => {
        count(counters, 'commits');
        count(counters, 'rows', rows);
        count(counters, 'lost runs', lostRuns);
      },
      limited: () => {},
      headLookup: (hit) => count(counters, hit ? 'head cache hits' : 'head cache misses'),
    };
  }
}

const describeCause = (cause: unknown) => (cause instanceof Error ? (cause.stack ?? cause.message) : String(cause));
