/** So many a second in the long run, and at most `burst` at once. `perSecond` above 0, `burst` at least 1. */
export type Rate = { readonly perSecond: number; readonly burst: number };

/**
 * A token this near is there: sums of times since 1970, in milliseconds, are less exact than a wait of nothing would need.
 * No rate grows by it, since what is taken early is owed in full.
 */
const roundingMs = 0.001;

/**
 * A token bucket, full at first. It keeps one number, the time at which it will be full again; so it needs no timer, and a
 * full one needs no memory. Times are milliseconds of any clock. Where that is set back, the bucket is at worst in full debt.
 */
export class TokenBucket {
  readonly #tokenMs: number;
  readonly #burstMs: number;
  #fullAtMs = -Infinity;

  constructor({ perSecond, burst }: Rate) {
    this.#tokenMs = 1000 / perSecond;
    this.#burstMs = burst * this.#tokenMs;
  }

  /** Whole milliseconds until so many tokens are there; 0 when they are. */
  waitMs(nowMs: number, tokens = 1): number {
    return Math.max(0, Math.ceil(this.#owedMs(nowMs) + tokens * this.#tokenMs - this.#burstMs - roundingMs));
  }

  /**
   * Takes a token, there or not: what is only known afterwards goes into debt, to be refilled first. The debt ends at one
   * burst, so that nobody waits for longer than two take to refill.
   */
  charge(nowMs: number): void {
    this.#fullAtMs = nowMs + Math.min(this.#owedMs(nowMs) + this.#tokenMs, 2 * this.#burstMs);
  }

  /** Takes a token if one is there. @returns 0, or the milliseconds until one is */
  take(nowMs: number): number {
    const waitMs = this.waitMs(nowMs);
    if (waitMs === 0) this.charge(nowMs);
    return waitMs;
  }

  /** How long it takes to refill what is missing. */
  #owedMs(nowMs: number): number {
    this.#fullAtMs = Math.min(this.#fullAtMs, nowMs + 2 * this.#burstMs);
    return Math.max(0, this.#fullAtMs - nowMs);
  }
}

/** A bucket a key, each of the same rate. */
export class TokenBuckets {
  readonly #rate: Rate;
  readonly #generationMax: number;
  /** Stands for all that are not remembered. */
  readonly #full: TokenBucket;
  // Two generations, of which the older is dropped as a whole. A map in order of use would be searched from its front each
  // time, over all that was deleted there: 30 us when the keys are many and new.
  #recent = new Map<string, TokenBucket>();
  #older: ReadonlyMap<string, TokenBucket> = new Map();

  /**
   * @param keysMax buckets remembered. One that is not asked for while half as many others are may be forgotten, and is full
   * when it is asked for again. Whoever is over the rate asks all the time and so is not forgotten.
   */
  constructor(rate: Rate, keysMax: number) {
    this.#rate = rate;
    this.#generationMax = Math.ceil(keysMax / 2);
    this.#full = new TokenBucket(rate);
  }

  /** As TokenBucket.waitMs. */
  waitMs(key: string, nowMs: number, tokens = 1): number {
    return (this.#remembered(key) ?? this.#full).waitMs(nowMs, tokens);
  }

  /** As TokenBucket.charge. */
  charge(key: string, nowMs: number): void {
    const bucket = this.#remembered(key) ?? this.#remember(key, new TokenBucket(this.#rate));
    bucket.charge(nowMs);
  }

  #remembered(key: string): TokenBucket | undefined {
    const recent = this.#recent.get(key);
    if (recent !== undefined) return recent;
    const older = this.#older.get(key);
    return older && this.#remember(key, older);
  }

  #remember(key: string, bucket: TokenBucket): TokenBucket {
    if (this.#recent.size >= this.#generationMax) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(key, bucket);
    return bucket;
  }
}
