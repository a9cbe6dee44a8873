import { type ChainHead, genesis } from '../record/record.ts';

/**
 * How long an answer counts. Half of what admission waits for a predecessor: a record that is ahead of the head is
 * refused only by a head that was asked for after it had come.
 */
const answerFreshMs = 500;
/** How long the centre is left alone after it gave no answer: each device that asks would wait for the deadline. */
const restMs = 5_000;

export type CentreHeadsOptions = {
  /** Undefined for a device that the centre does not know; rejects when there is no answer. */
  readonly ask: (deviceId: string) => Promise<ChainHead | undefined>;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
  readonly onError: (error: unknown) => void;
};

/** The heads that the centre has, asked for a few times a second and device at most; less while the link is down. */
export class CentreHeads {
  readonly #options: CentreHeadsOptions;
  /** By device: those that the relay has registered, so that there is an end to it. */
  readonly #answers = new Map<string, { readonly askedMs: number; readonly head: Promise<ChainHead | undefined> }>();
  #downUntilMs = -Infinity;

  constructor(options: CentreHeadsOptions) {
    this.#options = options;
  }

  /** The genesis head for a device that the centre does not know; undefined when the centre cannot be reached. */
  head(deviceId: string): Promise<ChainHead | undefined> {
    const nowMs = this.#options.now();
    const known = this.#answers.get(deviceId);
    if (known !== undefined && nowMs - known.askedMs < answerFreshMs) return known.head;
    if (nowMs < this.#downUntilMs) return Promise.resolve(undefined);
    const head = this.#ask(deviceId);
    this.#answers.set(deviceId, { askedMs: nowMs, head });
    return head;
  }

  async #ask(deviceId: string): Promise<ChainHead | undefined> {
    const { ask, now, onError } = this.#options;
    try {
      return (await ask(deviceId)) ?? genesis;
    } catch (error) {
      this.#answers.delete(deviceId);
      this.#downUntilMs = now() + restMs;
      onError(error);
      return undefined;
    }
  }
}
