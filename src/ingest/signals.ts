import type { Clock } from './ports.ts';

/** Lets a task wait until something is said to have changed, or for a while. */
export class Signals {
  readonly #clock: Pick<Clock, 'sleep'>;
  readonly #waiting = new Map<string, Set<() => void>>();

  constructor(clock: Pick<Clock, 'sleep'>) {
    this.#clock = clock;
  }

  notify(topic: string): void {
    const waiting = this.#waiting.get(topic);
    if (waiting === undefined) return;
    this.#waiting.delete(topic);
    for (const wake of waiting) wake();
  }

  /** Resolves at the next notify(topic), or after `ms`. */
  async wait(topic: string, ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = this.#waiting.get(topic) ?? new Set();
    this.#waiting.set(topic, waiting.add(resolve));
    await Promise.race([promise, this.#clock.sleep(ms)]);
    waiting.delete(resolve);
    if (waiting.size === 0 && this.#waiting.get(topic) === waiting) this.#waiting.delete(topic);
  }
}
