import { Unavailable } from '../ingest/ports.ts';

/**
 * A put's whole time, from being queued to its answer: its wait, all its keys and retries. Within what a load balancer
 * waits (30 to 60 s), and a full pod (4,096 records in flight) is through it at 260 objects a second.
 */
export const putDeadlineMs = 20_000;
/** A put with less of its time left is not begun: one try at S3 that gets no answer takes most of that. */
const leftToBegin = 1 / 5;

/** When a put must have begun, and when it must have ended. */
export class PutDeadline {
  /** As of performance.now. */
  readonly endMs: number;
  readonly #beginMs: number;

  /** @param ms from now */
  constructor(ms: number) {
    const nowMs = performance.now();
    this.endMs = nowMs + ms;
    this.#beginMs = nowMs + ms * (1 - leftToBegin);
  }

  /** Whether the put may still begin. */
  get inTime(): boolean {
    return performance.now() < this.#beginMs;
  }
}

export const waitedTooLong = () =>
  new Unavailable('payload_store', 'the payload waited too long for its put: the payload store is slow, or hangs');
