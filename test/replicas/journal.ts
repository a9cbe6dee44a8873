import assert from 'node:assert/strict';
import { recordHash } from '../../src/record/hash.ts';
import type { Envelope } from '../../src/record/record.ts';

/** A record that the service has said it has. */
export type Acknowledged = {
  readonly envelope: Envelope;
  readonly recordHash: Buffer;
  /** Whether any answer was 202. If none was, the service took the record and its answer was lost. */
  readonly answered: boolean;
};

/** What decided nothing. `late`: no answer within the client's patience; `broken`: the connection ended before its answer. */
export type Trouble = 'unavailable' | 'no replica' | 'broken' | 'late';

/** Beyond the longest outage of the story and the recovery from it. */
const waitDeadlineMs = 60_000;

/** What the devices were told, written down as it comes. In the end the service is held to it. */
export class Journal {
  readonly #chains = new Map<string, Map<bigint, Acknowledged>>();
  readonly #lastAcknowledged = new Map<string, bigint>();
  readonly #waits = new Set<() => void>();
  #acknowledged = 0;
  /** Records that claimed a used sequence and were refused for good. */
  readonly equivocations: Envelope[] = [];
  /** Responses that ended after their first byte and before their last. */
  cutResponses = 0;
  readonly counts: Record<'accepted' | 'identical' | 'ahead' | 'equivocation' | Trouble, number> = {
    accepted: 0,
    identical: 0,
    ahead: 0,
    equivocation: 0,
    unavailable: 0,
    'no replica': 0,
    broken: 0,
    late: 0,
  };

  /** By device, by sequence. */
  get chains(): ReadonlyMap<string, ReadonlyMap<bigint, Acknowledged>> {
    return this.#chains;
  }

  /** Distinct records. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  get troubles(): number {
    const { counts } = this;
    return counts.unavailable + counts['no replica'] + counts.broken + counts.late;
  }

  /** The highest acknowledged sequence of the device: it and all before it are committed. */
  lastAcknowledged(deviceId: string): bigint {
    return this.#lastAcknowledged.get(deviceId) ?? 0n;
  }

  acknowledge(envelope: Envelope, how: 'accepted' | 'identical'): void {
    const { deviceId, sequence } = envelope.record;
    const chain = this.#chains.get(deviceId) ?? new Map<bigint, Acknowledged>();
    this.#chains.set(deviceId, chain);
    const hash = recordHash(envelope.record);
    const before = chain.get(sequence);
    if (before === undefined) this.#acknowledged++;
    else assert.deepEqual(hash, before.recordHash, `two records of ${deviceId} were acknowledged at ${sequence}`);
    chain.set(sequence, { envelope, recordHash: hash, answered: how === 'accepted' || before?.answered === true });
    if (sequence > this.lastAcknowledged(deviceId)) this.#lastAcknowledged.set(deviceId, sequence);
    this.counts[how]++;
    this.#noted();
  }

  trouble(kind: Trouble): void {
    this.counts[kind]++;
    this.#noted();
  }

  /** Resolves when `met`. Rejects when it is not within a minute, and with the signal's reason. */
  async until(what: string, met: () => boolean, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const check = () => met() && resolve();
    const abort = () => reject(signal.reason);
    const timer = setTimeout(() => {
      reject(new Error(`${waitDeadlineMs / 1000} s without ${what}: ${JSON.stringify(this.counts)}`));
    }, waitDeadlineMs);
    this.#waits.add(check);
    signal.addEventListener('abort', abort);
    try {
      if (signal.aborted) abort();
      check();
      await promise;
    } finally {
      this.#waits.delete(check);
      signal.removeEventListener('abort', abort);
      clearTimeout(timer);
    }
  }

  #noted(): void {
    for (const check of this.#waits) check();
  }
}
