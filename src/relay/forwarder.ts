import { setTimeout as sleep } from 'node:timers/promises';
import type { Backoff } from '../device/backoff.ts';
import { type IngestClient, ServiceUnavailable } from '../device/ingest-client.ts';
import { formatEnvelope } from '../record/format.ts';
import { type ForwardOutcome, forwardOutcome, type QueuedEnvelope } from './forward-outcome.ts';
import type { ForwardQueue } from './forward-queue.ts';

/** As `eds send`: a request is then short beside its trip, and what is sent again after a lost answer is little. */
const batchRecordsMax = 500;
/** Twice that as hex. It has to go through within the client's deadline of a minute: 300 kbit/s; see #recordsMax. */
const batchBytesMax = 1024 * 1024;
/** How often a refused record is tried again, since the centre's registry may have changed. */
const heldRetryMs = 15 * 60 * 1000;

export type ForwarderOptions = {
  readonly queue: ForwardQueue;
  readonly client: Pick<IngestClient, 'sendBatch'>;
  /** Without an end to its attempts. */
  readonly backoff: Backoff;
  readonly observer: ForwardObserver;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  readonly signal: AbortSignal;
};

/** Told of what the forwarder does; must not throw. */
export interface ForwardObserver {
  /** The centre did not answer, or not as it should. It is tried again. */
  interrupted(error: unknown): void;
  /** The first batch after an interruption has its answers. */
  resumed(): void;
  refused(outcome: ForwardOutcome['refusals'][number]): void;
}

/**
 * Sends the queue to the centre in the order of arrival, one batch at a time. A record leaves the queue when the centre
 * has it, and only then: after a crash on either side the last batch goes again, and the centre knows its records.
 * A device whose record is refused for good is held, with all that is behind it; the others go on.
 */
export class Forwarder {
  readonly #options: ForwarderOptions;
  /** All up to it is delivered or held. */
  #position = 0n;
  readonly #held = new Set<string>();
  #heldSinceMs = 0;
  /** Halved when a batch does not get through, as on a link too slow for it, and doubled again by success. */
  #recordsMax = batchRecordsMax;
  #lastSuccessMs: number | undefined;
  #trouble: string | undefined;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /** When the centre last took a record; undefined when it has not since the start. */
  get lastSuccessMs(): number | undefined {
    return this.#lastSuccessMs;
  }

  /** Why nothing goes through at present. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Until the signal aborts. */
  async run(): Promise<void> {
    const { signal } = this.#options;
    while (!signal.aborted) {
      try {
        await this.#step();
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    }
  }

  async #step(): Promise<void> {
    const { queue, backoff, signal } = this.#options;
    // Before the look into the queue, so that nothing slips in between.
    const { changed } = queue;
    let waitMs: number | undefined;
    try {
      this.#releaseHeld();
      const batch = queue.take({
        after: this.#position,
        held: this.#held,
        recordsMax: this.#recordsMax,
        bytesMax: batchBytesMax,
      });
      if (batch.length === 0) return await this.#idle(changed);
      const outcome = await this.#send(batch);
      if (!outcome.undecided) return;
      waitMs = outcome.retryAfterMs;
      this.#interrupted(new ServiceUnavailable('the centre is not available for some records'));
    } catch (error) {
      signal.throwIfAborted();
      this.#recordsMax = Math.max(1, Math.floor(this.#recordsMax / 2));
      waitMs = error instanceof ServiceUnavailable ? error.retryAfterMs : undefined;
      this.#interrupted(error);
    }
    await backoff.wait(waitMs);
  }

  async #send(batch: readonly QueuedEnvelope[]): Promise<ForwardOutcome> {
    const { client, queue, backoff, observer, now } = this.#options;
    const answers = await client.sendBatch(batch.map(({ envelope }) => formatEnvelope(envelope)));
    const outcome = forwardOutcome(batch, answers);
    queue.settle(outcome);
    for (const refusal of outcome.refusals) {
      if (this.#held.size === 0) this.#heldSinceMs = performance.now();
      this.#held.add(refusal.queued.envelope.record.deviceId);
      observer.refused(refusal);
    }
    if (outcome.delivered.length > 0) {
      this.#lastSuccessMs = now();
      backoff.reset();
    }
    if (outcome.undecided) return outcome;
    this.#position = batch.at(-1)?.position ?? this.#position;
    this.#recordsMax = Math.min(batchRecordsMax, 2 * this.#recordsMax);
    backoff.reset();
    if (this.#trouble !== undefined) observer.resumed();
    this.#trouble = undefined;
    return outcome;
  }

  #interrupted(error: unknown): void {
    this.#trouble = error instanceof Error ? error.message : String(error);
    this.#options.observer.interrupted(error);
  }

  #releaseHeld(): void {
    if (this.#held.size === 0 || performance.now() - this.#heldSinceMs < heldRetryMs) return;
    this.#held.clear();
    this.#position = 0n;
  }

  async #idle(changed: Promise<void>): Promise<void> {
    const waiting = new AbortController();
    const signal = AbortSignal.any([this.#options.signal, waiting.signal]);
    try {
      await Promise.race([changed, sleep(heldRetryMs, undefined, { signal })]);
    } finally {
      waiting.abort();
    }
  }
}
