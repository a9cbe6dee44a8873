import type { RequestHandler } from 'express';
import type { Admission } from '../../ingest/admission.ts';
import type { Ingest } from '../../ingest/ingest.ts';
import type { Sender } from '../../ingest/ports.ts';
import { ParseError, parseEnvelope } from '../../record/parse.ts';
import type { RefusalCode } from '../../record/rejection.ts';
import { AnswerQueue } from './answer-queue.ts';
import { bodyOf } from './body.ts';
import { type BodyBudget, BodyBudgetExceeded } from './body-budget.ts';
import { type Line, readLines } from './lines.ts';
import { refusal, unavailableReply, verdictReply } from './reply.ts';
import { contextOf, type RequestObserver } from './request-context.ts';

/** Lines of one batch: a batch remembers each device that it met, so that there must be an end. */
const linesMax = 100_000;
/** How long a line waits for room among the records in flight before it is answered `overloaded`: many times a commit. */
const roomWaitMs = 10_000;

export type BatchRouteOptions = {
  readonly ingest: Ingest;
  readonly bodies: BodyBudget;
  readonly lineBytesMax: number;
  /** See HttpAppOptions. */
  readonly stored: 'relay' | undefined;
  readonly draining: () => boolean;
};

/** `POST /api/v1/ingest/batch`: one envelope a line in, one verdict a line out, in the same order, as they come. */
export function batchRoute(options: BatchRouteOptions): RequestHandler {
  return async (request, response) => {
    const body = bodyOf(request, response);
    response.writeHead(200, { 'Content-Type': 'application/x-ndjson; charset=utf-8' });
    // Sent at once, so that a client that pipes can begin to read.
    response.flushHeaders();
    const answers = new AnswerQueue(response);
    const writing = answers.write();
    await new Batch(options, contextOf(response), answers).read(body);
    answers.end();
    await writing;
    response.end();
  };
}

class Batch {
  readonly #options: BatchRouteOptions;
  readonly #observer: RequestObserver;
  readonly #sender: Sender;
  readonly #answers: AnswerQueue;
  /** The last line of each device: the next is judged after it. */
  readonly #last = new Map<string, Admission>();

  constructor(options: BatchRouteOptions, context: ReturnType<typeof contextOf>, answers: AnswerQueue) {
    this.#options = options;
    this.#observer = context.observer;
    this.#sender = context.sender;
    this.#answers = answers;
  }

  async read(body: AsyncIterable<Buffer>): Promise<void> {
    let lines = 0;
    using share = this.#options.bodies.share();
    try {
      for await (const line of readLines(body, this.#options.lineBytesMax, share)) {
        await this.#answers.room();
        if (this.#answers.closed) return;
        if (++lines > linesMax) {
          this.#refuse('body_too_large', `a batch has at most ${linesMax} lines: send the rest in another`);
          return;
        }
        await this.#judge(line);
      }
    } catch (error) {
      if (error instanceof BodyBudgetExceeded) return this.#answers.push(unavailableReply('overloaded'));
      // The connection broke, or the gzip stream did: what was read before is judged and answered as ever.
      this.#refuse('bad_http', `the body broke off after line ${lines}: ${(error as Error).message}`);
    }
  }

  async #judge(line: Line): Promise<void> {
    const { ingest, lineBytesMax, stored, draining } = this.#options;
    if (draining()) return this.#answers.push(unavailableReply('draining'));
    if (line === 'too-long') return this.#refuse('body_too_large', `the line is longer than ${lineBytesMax} bytes`);
    try {
      const envelope = parseEnvelope(line);
      const { deviceId } = envelope.record;
      const deadlineMs = performance.now() + roomWaitMs;
      while (!ingest.hasRoom(envelope.payload.length) && performance.now() < deadlineMs)
        await ingest.roomChanged(deadlineMs - performance.now());
      const admission = ingest.admit(envelope, this.#sender, this.#last.get(deviceId));
      this.#last.set(deviceId, admission);
      this.#answers.pushLater(admission.verdict.then((verdict) => verdictReply(verdict, stored)));
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      this.#refuse(error.code, error.message);
    }
  }

  #refuse(code: RefusalCode, error: string): void {
    this.#observer.refused(code, error, this.#sender);
    this.#answers.push(refusal(code, error));
  }
}
