import type { TextOutput } from './command.ts';

/** Often enough to look alive to somebody watching. */
const terminalIntervalMs = 100;
/** Seldom enough for a log. */
const logIntervalMs = 10_000;

/**
 * How far a long command is: one line that is written over on a terminal, now and then a line elsewhere.
 * Has no timer; it speaks when it is updated. Disposing of it takes the terminal's line away.
 */
export class Progress implements Disposable {
  readonly #output: TextOutput;
  readonly #now: () => number;
  #nextMs: number;
  #isShown = false;

  constructor(output: TextOutput, now: () => number = Date.now) {
    this.#output = output;
    this.#now = now;
    this.#nextMs = now() + this.#intervalMs;
  }

  /** `text` is asked for only when it will be shown. */
  update(text: () => string): void {
    const now = this.#now();
    if (now < this.#nextMs) return;
    this.#nextMs = now + this.#intervalMs;
    this.#output.write(this.#output.isTTY ? `\r${text()}\x1b[K` : `${text()}\n`);
    this.#isShown = true;
  }

  [Symbol.dispose](): void {
    if (this.#output.isTTY && this.#isShown) this.#output.write('\r\x1b[K');
    this.#isShown = false;
  }

  get #intervalMs(): number {
    return this.#output.isTTY ? terminalIntervalMs : logIntervalMs;
  }
}
