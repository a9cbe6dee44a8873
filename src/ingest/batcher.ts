/**
 * Gathers what is asked for while the last call runs and answers it with one call. No timer: an idle batcher calls as
 * soon as the work at hand has been queued.
 */
export type BatcherOptions<T, R> = {
  /** Answers each item, in the same order. A rejection rejects every item. */
  readonly run: (items: readonly T[]) => Promise<readonly R[]>;
  /** `setImmediate`, or a simulation's own. */
  readonly defer: (task: () => void) => void;
  readonly itemsMax: number;
  /** Bound on the summed weights of a batch; a single heavier item goes alone. */
  readonly weightMax?: number;
  readonly weightOf?: (item: T) => number;
  /** How many calls may run at once. */
  readonly callsMax?: number;
};

type Pending<T, R> = { item: T; weight: number; resolve: (result: R) => void; reject: (error: unknown) => void };

export class Batcher<T, R> {
  readonly #options: Required<BatcherOptions<T, R>>;
  #pending: Pending<T, R>[] = [];
  #calls = 0;
  #scheduled = false;

  constructor(options: BatcherOptions<T, R>) {
    this.#options = { weightMax: Infinity, weightOf: () => 0, callsMax: 1, ...options };
  }

  get queued(): number {
    return this.#pending.length;
  }

  add(item: T): Promise<R> {
    const { promise, resolve, reject } = Promise.withResolvers<R>();
    this.#pending.push({ item, weight: this.#options.weightOf(item), resolve, reject });
    this.#schedule();
    return promise;
  }

  #schedule(): void {
    if (this.#scheduled || this.#calls >= this.#options.callsMax || this.#pending.length === 0) return;
    this.#scheduled = true;
    this.#options.defer(() => {
      this.#scheduled = false;
      void this.#call();
    });
  }

  async #call(): Promise<void> {
    const batch = this.#take();
    this.#calls++;
    this.#schedule();
    try {
      const results = await this.#options.run(batch.map(({ item }) => item));
      if (results.length !== batch.length) throw new Error(`${results.length} results for ${batch.length} items`);
      for (const [index, { resolve }] of batch.entries()) resolve(results[index] as R);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    } finally {
      this.#calls--;
      this.#schedule();
    }
  }

  #take(): Pending<T, R>[] {
    let count = 0;
    let weight = 0;
    for (const { weight: next } of this.#pending) {
      if (count === this.#options.itemsMax || (count > 0 && weight + next > this.#options.weightMax)) break;
      count++;
      weight += next;
    }
    return this.#pending.splice(0, count);
  }
}
