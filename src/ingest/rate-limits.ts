import { isIPv6 } from 'node:net';
import { unmapped } from './source-allowlist.ts';
import { type Rate, TokenBucket, TokenBuckets } from './token-bucket.ts';

export type { Rate } from './token-bucket.ts';

/** Which limit is exhausted, and for how long: a token may be taken after `waitMs`, by whoever comes first. */
export type RateLimited = { readonly limit: 'source' | 'device' | 'pod' | 'refused'; readonly waitMs: number };

/** The rates of one pod; undefined where there is no limit. */
export type RateLimitsOptions = {
  /** Records of one source address. */
  readonly source: Rate | undefined;
  /** Records that one device has signed. */
  readonly device: Rate | undefined;
  /** All records. */
  readonly pod: Rate | undefined;
  /** Final refusals of what one source address sent. */
  readonly refused: Rate | undefined;
  /** Milliseconds; only differences count. */
  readonly now: () => number;
};

/**
 * Sources and devices remembered, each; about 200 bytes. To have itself forgotten, a sender over its rate needs half as many
 * others between two requests of its own, and gains one burst, which each of those has anyway; the pod's rate holds for
 * them all.
 */
const keysMax = 100_000;

/** Token buckets per source address, per device and for the pod. Constant work a record, no timers. */
export class RateLimits {
  readonly #now: () => number;
  readonly #pod: TokenBucket | undefined;
  readonly #sources: TokenBuckets | undefined;
  readonly #devices: TokenBuckets | undefined;
  readonly #refused: TokenBuckets | undefined;

  constructor({ source, device, pod, refused, now }: RateLimitsOptions) {
    this.#now = now;
    this.#pod = pod && new TokenBucket(pod);
    this.#sources = source && new TokenBuckets(source, keysMax);
    this.#devices = device && new TokenBuckets(device, keysMax);
    this.#refused = refused && new TokenBuckets(refused, keysMax);
  }

  /**
   * One record from this source: takes a token of the source and of the pod, or of neither and says what is exhausted.
   * @param address undefined where the transport does not tell: then the pod's rate alone counts
   */
  take(address: string | undefined): RateLimited | undefined {
    const nowMs = this.#now();
    const source = address === undefined ? undefined : sourceOf(address);
    const exhausted =
      (source === undefined
        ? undefined
        : (limited('refused', this.#refused?.waitMs(source, nowMs)) ??
          limited('source', this.#sources?.waitMs(source, nowMs)))) ?? limited('pod', this.#pod?.waitMs(nowMs));
    if (exhausted !== undefined) return exhausted;
    if (source !== undefined) this.#sources?.charge(source, nowMs);
    this.#pod?.charge(nowMs);
    return undefined;
  }

  /**
   * Whether the device has used up its rate; takes nothing. Asked before a signature is checked: refusing is cheap.
   * @param ahead records of it that come before this one and have not been charged yet
   */
  device(deviceId: string, ahead = 0): RateLimited | undefined {
    return limited('device', this.#devices?.waitMs(deviceId, this.#now(), ahead + 1));
  }

  /** A record that the device has certainly signed: nobody else uses up its rate, but by sending its own records again. */
  chargeDevice(deviceId: string): void {
    this.#devices?.charge(deviceId, this.#now());
  }

  /** A final refusal of what this source sent: past the rate, `take` answers 'refused' until it has recovered. */
  chargeRefusal(address: string | undefined): void {
    if (address !== undefined) this.#refused?.charge(sourceOf(address), this.#now());
  }
}

function limited(limit: RateLimited['limit'], waitMs = 0): RateLimited | undefined {
  return waitMs > 0 ? { limit, waitMs } : undefined;
}

/**
 * What counts as one source: an IPv4 address, or the /64 of an IPv6 address, since a host chooses the other half itself
 * (RFC 4291 section 2.5.4, RFC 8981).
 */
export function sourceOf(address: string): string {
  const plain = unmapped(address);
  if (!isIPv6(plain)) return plain;
  const [head = '', tail] = plain.split('::');
  const groups = head.split(':').map((group) => Number.parseInt(group, 16));
  if (tail !== undefined) {
    // An IPv4 address at the end stands for two groups, as two more colons would (RFC 4291 section 2.2).
    const after = tail === '' ? 0 : tail.split(/[:.]/).length - (tail.includes('.') ? 2 : 0);
    if (head === '') groups.length = 0;
    while (groups.length < 8 - after) groups.push(0);
    for (const group of tail.split(':')) groups.push(Number.parseInt(group, 16));
  }
  const prefix = groups.slice(0, 4).map((group) => group.toString(16));
  return `${prefix.join(':')}::/64`;
}
