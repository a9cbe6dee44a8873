import type { ChainHead } from '../record/record.ts';

/**
 * The committed heads that this pod has seen last, least recently used dropped first. A remembered head is a fact that
 * may be old. It can be ahead only of a Postgres that has lost commits; then it is forgotten.
 */
export class HeadCache {
  readonly #heads = new Map<string, ChainHead>();
  readonly #headsMax: number;

  constructor(headsMax: number) {
    this.#headsMax = headsMax;
  }

  get(deviceId: string): ChainHead | undefined {
    const head = this.#heads.get(deviceId);
    if (head !== undefined) this.#touch(deviceId, head);
    return head;
  }

  /** Takes note of a committed head. An answer that was overtaken on its way is not newer than what is known. */
  advance(deviceId: string, head: ChainHead): void {
    const known = this.#heads.get(deviceId);
    this.#touch(deviceId, known !== undefined && known.sequence > head.sequence ? known : head);
    if (this.#heads.size > this.#headsMax) {
      const [oldest] = this.#heads.keys();
      if (oldest !== undefined) this.#heads.delete(oldest);
    }
  }

  /** What is remembered of this device has proved wrong. */
  forget(deviceId: string): void {
    this.#heads.delete(deviceId);
  }

  #touch(deviceId: string, head: ChainHead): void {
    this.#heads.delete(deviceId);
    this.#heads.set(deviceId, head);
  }
}
