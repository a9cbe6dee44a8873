import { type PacedResult, windowMs } from './paced-plan.ts';
import { quantiles } from './quantiles.ts';

type Window = { readonly acceptedMs: number[]; refused: number };

/** What was answered, and when. */
export class AnswerTally {
  readonly #answers: Record<string, number> = {};
  readonly #acceptedMs: number[] = [];
  readonly #refusedMs: number[] = [];
  readonly #windows: Window[] = [];
  #lastAcceptedMs = 0;

  /** @param what `accepted`, or the code of a refusal @param sentMs since the start */
  add(what: string, sentMs: number, latencyMs: number): void {
    this.#answers[what] = (this.#answers[what] ?? 0) + 1;
    const window = this.#windowAt(sentMs);
    if (what === 'accepted') {
      this.#acceptedMs.push(latencyMs);
      window.acceptedMs.push(latencyMs);
      this.#lastAcceptedMs = sentMs + latencyMs;
    } else {
      this.#refusedMs.push(latencyMs);
      window.refused++;
    }
  }

  result(): Pick<PacedResult, 'answers' | 'secondsToLastAccepted' | 'latencyMs' | 'windows'> {
    return {
      answers: this.#answers,
      secondsToLastAccepted: this.#lastAcceptedMs / 1000,
      latencyMs: { accepted: quantiles(this.#acceptedMs), refused: quantiles(this.#refusedMs) },
      windows: this.#windows.map(({ acceptedMs, refused }) => ({
        p50Ms: acceptedMs.length > 0 ? quantiles(acceptedMs).p50 : undefined,
        refused,
      })),
    };
  }

  #windowAt(sentMs: number): Window {
    const index = Math.floor(sentMs / windowMs);
    while (this.#windows.length <= index) this.#windows.push({ acceptedMs: [], refused: 0 });
    return this.#windows[index] as Window;
  }
}
