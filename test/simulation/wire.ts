import { BatchRefused, type Component, OutcomeUnknown, Unavailable } from '../../src/ingest/ports.ts';
import type { FaultPlan } from './faults.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';

/** Typical time of one way, in milliseconds. */
const hopScalesMs = [0.5, 5, 40];
/** A way that takes longer than usual takes up to this many times as long. */
const slowHop = { share: 0.03, times: 20 };
/** How long after its failure was reported a late effect may come: in one half of the cases before anybody asks again. */
const latesMsMax = [60, 3_000];

/** What happened, for a reader; given only where one is there. */
export type Trace = (what: string) => void;
export type Counters = Map<string, number>;

export function count(counters: Counters, what: string, by = 1): void {
  counters.set(what, (counters.get(what) ?? 0) + by);
}

/** The network of one schedule: how long each way takes, and what goes wrong on it. */
export class Network {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly faults: FaultPlan;
  readonly counters: Counters;
  readonly trace: Trace | undefined;
  readonly #scaleMs: number;

  constructor(options: Pick<Network, 'scheduler' | 'random' | 'faults' | 'counters' | 'trace'>) {
    this.scheduler = options.scheduler;
    this.random = options.random;
    this.faults = options.faults;
    this.counters = options.counters;
    this.trace = options.trace;
    this.#scaleMs = options.random.pick(hopScalesMs);
  }

  /** The longest that a call and its answer can take. */
  get roundTripMsMax(): number {
    return 2 * this.#scaleMs * slowHop.times;
  }

  hopMs(): number {
    const slow = this.random.chance(slowHop.share) ? slowHop.times : 1;
    return this.random.next() * this.#scaleMs * slow;
  }
}

/** Everything that one replica does to the outside. Once it has crashed, none of its calls answers. */
export class Wire {
  readonly #network: Network;
  readonly #name: string;
  readonly #crash: () => void;
  #dead = false;

  /** @param crash ends the replica that this wire belongs to */
  constructor(network: Network, name: string, crash: () => void) {
    this.#network = network;
    this.#name = name;
    this.#crash = crash;
  }

  cut(): void {
    this.#dead = true;
  }

  /** Runs `task` after a while, if the replica is still there by then. */
  after(ms: number, task: () => void): void {
    this.#network.scheduler.after(ms, () => {
      if (!this.#dead) task();
    });
  }

  read<T>(component: Component, what: string, effect: () => T): Promise<T> {
    return this.#call('read', component, what, effect);
  }

  put<T>(what: string, effect: () => T): Promise<T> {
    return this.#call('put', 'payload_store', what, effect);
  }

  commit<T>(what: string, effect: () => T): Promise<T> {
    return this.#call('commit', 'ledger', what, effect);
  }

  /** Suspends before the effect and after it. */
  async #call<T>(kind: 'read' | 'put' | 'commit', component: Component, what: string, effect: () => T): Promise<T> {
    const fault = this.#network.faults.draw(kind);
    if (fault !== undefined) count(this.#network.counters, `fault ${kind} ${fault}`);
    this.#say(`${what} asked${fault === undefined ? '' : `, fault: ${fault}`}`);
    if (fault === 'crash-before') this.#crash();
    await this.#request(what, effect);
    if (fault === 'before') throw new Unavailable(component, `${what}: no connection`);
    if (fault === 'refused') throw new BatchRefused(component, `${what}: refused`);
    if (fault === 'late') {
      this.#applyLater(what, effect);
      await this.#hop();
      throw this.#unanswered(kind, component, what);
    }
    const result = this.#apply(what, effect);
    if (fault === 'crash-after') this.#crash();
    await this.#hop();
    if (fault === 'after') throw this.#unanswered(kind, component, what);
    this.#say(`${what} answered`);
    return result;
  }

  /** The way there. A request that is under way when its replica crashes may still arrive. */
  #request(what: string, effect: () => unknown): Promise<void> {
    return new Promise((resolve) => {
      this.#network.scheduler.after(this.#network.hopMs(), () => {
        if (!this.#dead) resolve();
        else if (this.#network.random.chance(0.5)) this.#applyUnheard(what, effect);
      });
    });
  }

  #hop(): Promise<void> {
    return new Promise((resolve) => this.after(this.#network.hopMs(), resolve));
  }

  #applyLater(what: string, effect: () => unknown): void {
    const { scheduler, random } = this.#network;
    scheduler.after(random.next() * random.pick(latesMsMax), () => this.#applyUnheard(what, effect));
  }

  /** Nobody hears the answer; a refusal changes nothing. */
  #applyUnheard(what: string, effect: () => unknown): void {
    try {
      this.#apply(`${what} (unheard)`, effect);
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
    }
  }

  #apply<T>(what: string, effect: () => T): T {
    const result = effect();
    this.#say(`${what} takes effect`);
    return result;
  }

  #unanswered(kind: 'read' | 'put' | 'commit', component: Component, what: string): Unavailable {
    const Failure = kind === 'commit' ? OutcomeUnknown : Unavailable;
    return new Failure(component, `${what}: connection lost`);
  }

  #say(what: string): void {
    this.#network.trace?.(`${this.#name} ${what}`);
  }
}
