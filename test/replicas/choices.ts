import { hash } from 'node:crypto';

/** Choices that come out the same again for the same seed: SHA-256 of the seed and of a counter. */
export class Choices {
  readonly #seed: string;
  #drawn = 0;

  constructor(seed: string) {
    this.#seed = seed;
  }

  /** Choices of their own, whatever is drawn from these meanwhile. */
  fork(name: string): Choices {
    return new Choices(`${this.#seed}/${name}`);
  }

  /** A whole number from 0 up to and without `count`, which is at most 2^32. */
  below(count: number): number {
    const drawn = hash('sha256', `${this.#seed} ${this.#drawn++}`, 'buffer').readUIntBE(0, 6);
    return drawn % count;
  }

  chance(probability: number): boolean {
    return this.below(1_000_000) < probability * 1_000_000;
  }

  pick<T>(items: readonly T[]): T {
    const [picked] = items.slice(this.below(items.length));
    if (picked === undefined) throw new RangeError('nothing to choose from');
    return picked;
  }

  shuffled<T>(items: readonly T[]): T[] {
    return items
      .map((item) => ({ item, place: this.below(2 ** 32) }))
      .sort((a, b) => a.place - b.place)
      .map(({ item }) => item);
  }

  bytes(length: number): Buffer {
    return Buffer.alloc(length, hash('sha256', `${this.#seed} ${this.#drawn++}`, 'buffer'));
  }
}
