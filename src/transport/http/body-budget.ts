/**
 * What all bodies that are being read may hold at once, expanded: of each request its body, of each batch the line that it
 * is reading. A compressed body of two kilobytes can expand to megabytes, and there are thousands of connections.
 */
const heldBytesMax = 64 * 1024 * 1024;

/** There is no room for another body now: ours, not the sender's. */
export class BodyBudgetExceeded extends Error {
  override readonly name = 'BodyBudgetExceeded';
}

/** One for all requests of a server. */
export class BodyBudget {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax = heldBytesMax) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  share(): BodyShare {
    return new BodyShare((moreBytes) => {
      if (moreBytes > 0 && this.#bytes + moreBytes > this.#bytesMax) throw new BodyBudgetExceeded();
      this.#bytes += moreBytes;
    });
  }
}

/** What one request holds of the budget. */
export class BodyShare implements Disposable {
  readonly #charge: (moreBytes: number) => void;
  #bytes = 0;

  constructor(charge: (moreBytes: number) => void) {
    this.#charge = charge;
  }

  /** From now on it holds `bytes` in all. @throws BodyBudgetExceeded, and then it holds what it held */
  hold(bytes: number): void {
    this.#charge(bytes - this.#bytes);
    this.#bytes = bytes;
  }

  [Symbol.dispose](): void {
    this.hold(0);
  }
}
