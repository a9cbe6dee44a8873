import type { ServerResponse } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import { jsonText, type Reply } from './reply.ts';

/** Lines judged and not yet answered: several commits' worth, so that the pipeline stays full. */
const linesAheadMax = 4096;
/** Answers that wait for a client that does not read, before its next lines wait as well. */
const answerBytesAheadMax = 1024 * 1024;

type Answer = { text: string | undefined };

/** Answers in the order of the lines, one a line, written as soon as they are known. */
export class AnswerQueue {
  readonly #response: ServerResponse;
  readonly #queue: Answer[] = [];
  #ended = false;
  #changed = Promise.withResolvers<void>();

  constructor(response: ServerResponse) {
    this.#response = response;
    for (const event of ['drain', 'close']) response.on(event, () => this.#wake());
  }

  /** The client has gone. */
  get closed(): boolean {
    return this.#response.destroyed;
  }

  push(reply: Reply): void {
    this.#queue.push({ text: textOf(reply) });
    this.#wake();
  }

  /** Takes a place for an answer that is not known yet. It must come. */
  pushLater(reply: Promise<Reply>): void {
    const answer: Answer = { text: undefined };
    this.#queue.push(answer);
    void reply.then((known) => {
      answer.text = textOf(known);
      if (this.#queue[0] === answer) this.#wake();
    });
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Resolves when another line may be judged. */
  async room(): Promise<void> {
    while (this.#queue.length >= linesAheadMax && !this.closed) await this.#changed.promise;
  }

  /** Writes until end() was called and everything is written, or the client has gone. */
  async write(): Promise<void> {
    while (!this.closed) {
      const known = this.#queue.findIndex(({ text }) => text === undefined);
      const ready = this.#queue.splice(0, known < 0 ? this.#queue.length : known);
      if (ready.length === 0) {
        if (this.#ended && this.#queue.length === 0) return;
        await this.#changed.promise;
        // One commit answers many lines: let them all be known before they are written as one.
        await setImmediate();
        continue;
      }
      this.#response.write(ready.map(({ text }) => text).join(''));
      this.#wake();
      while (this.#response.writableLength > answerBytesAheadMax && !this.closed) await this.#changed.promise;
    }
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}

function textOf({ body }: Reply): string {
  return `${jsonText(body)}\n`;
}
