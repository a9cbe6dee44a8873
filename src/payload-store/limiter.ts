import { type PutDeadline, waitedTooLong } from './put-deadline.ts';

/**
 * Runs at most `runningMax` tasks at once, the others in the order of their arrival. Where every task ends by its
 * deadline, and these are in the order of arrival too, nobody waits beyond his own: whoever holds a place came earlier.
 */
export class Limiter {
  readonly #runningMax: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(runningMax: number) {
    this.#runningMax = runningMax;
  }

  /** Rejects with Unavailable, and does not run the task, where its turn comes too late. */
  async run<T>(deadline: PutDeadline, task: () => Promise<T>): Promise<T> {
    // A finished task hands its place to the first that waits, so that a newcomer cannot overtake.
    if (this.#running < this.#runningMax) this.#running++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      if (!deadline.inTime) throw waitedTooLong();
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
