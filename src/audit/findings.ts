/** Where and how something is not as it was admitted: `expected` and `actual` as a reader would compare them. */
export type Break = {
  readonly deviceId: string;
  readonly sequence: bigint;
  readonly problem: string;
  readonly expected: string;
  readonly actual: string;
};

/** What is wrong, without where. */
export type Mismatch = Pick<Break, 'problem' | 'expected' | 'actual'>;
export type Place = Pick<Break, 'deviceId' | 'sequence'>;

/** Keeps the first break and counts the others, so that memory does not grow with the damage. */
export class Findings {
  #first: Break | undefined;
  #count = 0;

  get first(): Break | undefined {
    return this.#first;
  }

  get count(): number {
    return this.#count;
  }

  add({ deviceId, sequence }: Place, mismatch: Mismatch | undefined): void {
    if (mismatch === undefined) return;
    this.#count++;
    this.#first ??= { deviceId, sequence, ...mismatch };
  }
}
