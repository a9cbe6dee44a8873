import type { Verdict } from './verdict.ts';

/** A record on its way to its verdict. */
export class Admission {
  readonly #placed = Promise.withResolvers<void>();
  readonly #verdict = Promise.withResolvers<Verdict>();
  #settled: Verdict | undefined;

  /** Resolves once the record has a place in its device's chain, or its verdict. */
  get placed(): Promise<void> {
    return this.#placed.promise;
  }

  get verdict(): Promise<Verdict> {
    return this.#verdict.promise;
  }

  /** The verdict, once there is one. */
  get settled(): Verdict | undefined {
    return this.#settled;
  }

  place(): void {
    this.#placed.resolve();
  }

  settle(verdict: Verdict): void {
    this.#settled = verdict;
    this.#placed.resolve();
    this.#verdict.resolve(verdict);
  }
}
