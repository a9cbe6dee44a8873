import { setTimeout as sleepFor } from 'node:timers/promises';

export type BackoffOptions = {
  /** Tries in a row without progress before giving up. */
  readonly attempts: number;
  readonly signal: AbortSignal;
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
  /** From 0 up to 1. */
  readonly random?: () => number;
};

/** A replica that is being replaced is back, or taken out of the balancing, within a second or two. */
const firstDelayMs = 200;
/** Past this, waiting longer no longer spares the service anything. */
const delayMsMax = 15_000;
/** A Retry-After beyond this is for an operator, not for a loop. */
const retryAfterMsMax = 60_000;

/** Exponential waiting with full jitter, so that devices that failed together do not come back together. */
export class Backoff {
  readonly #options: Required<BackoffOptions>;
  #failures = 0;

  constructor(options: BackoffOptions) {
    this.#options = { sleep: (ms, signal) => sleepFor(ms, undefined, { signal }), random: Math.random, ...options };
  }

  /** Something went through: the next failure is a first one. */
  reset(): void {
    this.#failures = 0;
  }

  /**
   * Waits before the next attempt, no shorter than the service asked for. False, without waiting, when there is none left.
   * Rejects with the signal's reason when that aborts.
   */
  async wait(retryAfterMs = 0): Promise<boolean> {
    const { attempts, signal, sleep, random } = this.#options;
    this.#failures++;
    if (this.#failures >= attempts) return false;
    const ceilingMs = Math.min(delayMsMax, firstDelayMs * 2 ** (this.#failures - 1));
    await sleep(Math.min(retryAfterMs, retryAfterMsMax) + random() * ceilingMs, signal);
    return true;
  }
}
