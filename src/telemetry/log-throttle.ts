/**
 * Lets through one line a key and interval, and counts what it holds back. Keys must come from a closed list: each one
 * is remembered.
 */
export class LogThrottle {
  readonly #intervalMs: number;
  readonly #now: () => number;
  readonly #keys = new Map<string, { nextMs: number; suppressed: number }>();

  /** @param now milliseconds; only differences count */
  constructor(intervalMs: number, now: () => number) {
    this.#intervalMs = intervalMs;
    this.#now = now;
  }

  /** How many lines of `key` were held back since its last one, or undefined when this one is held back as well. */
  admit(key: string): number | undefined {
    const nowMs = this.#now();
    const state = this.#keys.get(key);
    if (state !== undefined && nowMs < state.nextMs) {
      state.suppressed++;
      return undefined;
    }
    this.#keys.set(key, { nextMs: nowMs + this.#intervalMs, suppressed: 0 });
    return state?.suppressed ?? 0;
  }
}
