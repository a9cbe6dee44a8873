import { setTimeout as sleep } from 'node:timers/promises';
import type { RequestHandler } from 'express';
import type { Admission } from '../../ingest/admission.ts';
import type { Ingest } from '../../ingest/ingest.ts';
import type { RateLimited } from '../../ingest/rate-limits.ts';
import { ParseError, parseEnvelope } from '../../record/parse.ts';
import type { RefusalCode } from '../../record/rejection.ts';
import { AnswerQueue } from './answer-queue.ts';
import { bodyOf } from './body.ts';
import { type BodyBudget, BodyBudgetExceeded } from './body-budget.ts';
import { type Line, readLines } from './lines.ts';
import { refusal, unavailableReply, verdictReply } from './reply.ts';
import { contextOf, countRefusal, type RequestContext } from './request-context.ts';

/** Lines of one batch: a batch remembers each device that it met, so that there must be an end. */
const linesMax = 100_000;
/**
 * How long a line waits for room among the records in flight before it is answered `overloaded`, and for a token before it
 * is answered `rate_limited`: many times a commit, and most of what a client waits for a sign of life.
 */
const roomWaitMs = 10_000;
/** How often a line that waits for a token looks whether anybody is still there to be answered. */
const lookEveryMs = 500;

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

/** Of one device: the next line is judged after `last`, and `ahead` of them have no place in its chain yet. */
type DeviceLines = { last: Admission | undefined; ahead: number };

class Batch {
  readonly #options: BatchRouteOptions;
  readonly #context: RequestContext;
  readonly #answers: AnswerQueue;
  readonly #devices = new Map<string, DeviceLines>();
  /** What was exhausted for too long. So it stays: a line that was not read may be anybody's, and its next must not come first. */
  #limited: RateLimited | undefined;

  constructor(options: BatchRouteOptions, context: RequestContext, answers: AnswerQueue) {
    this.#options = options;
    this.#context = context;
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
    const { limits, observer, sender } = this.#context;
    this.#limited ??= await this.#tokenOf(() => limits.take(sender.address));
    if (draining()) return this.#answers.push(unavailableReply('draining'));
    if (this.#limited !== undefined) {
      observer.limited(this.#limited.limit, sender);
      return this.#answers.push(unavailableReply('rate_limited', this.#limited.waitMs));
    }
    if (line === 'too-long') return this.#refuse('body_too_large', `the line is longer than ${lineBytesMax} bytes`);
    try {
      const envelope = parseEnvelope(line);
      const lines = this.#linesOf(envelope.record.deviceId);
      await this.#deviceToken(envelope.record.deviceId, lines);
      const deadlineMs = performance.now() + roomWaitMs;
      while (!ingest.hasRoom(envelope.payload.length) && performance.now() < deadlineMs)
        await ingest.roomChanged(deadlineMs - performance.now());
      const admission = ingest.admit(envelope, sender, lines.last);
      lines.last = admission;
      lines.ahead++;
      void admission.placed.then(() => lines.ahead--);
      this.#answers.pushLater(admission.verdict.then((verdict) => verdictReply(verdict, stored)));
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      this.#refuse(error.code, error.message);
    }
  }

  #linesOf(deviceId: string): DeviceLines {
    const lines = this.#devices.get(deviceId) ?? { last: undefined, ahead: 0 };
    this.#devices.set(deviceId, lines);
    return lines;
  }

  /** Waits for the device's rate, as far as that makes sense: admission has the last word. */
  async #deviceToken(deviceId: string, { last, ahead }: DeviceLines): Promise<void> {
    const { limits } = this.#context;
    if (limits.device(deviceId, ahead) === undefined) return;
    // Lines take their places in order, and are charged before: from here on the rate is known exactly.
    await last?.placed;
    // Behind a line that is to be sent again, this one is as well.
    if (last?.settled?.status !== 'unavailable') await this.#tokenOf(() => limits.device(deviceId));
  }

  /** Waits for a token while the body is not read on. @returns what is exhausted, where that would take too long */
  async #tokenOf(ask: () => RateLimited | undefined): Promise<RateLimited | undefined> {
    const deadlineMs = performance.now() + roomWaitMs;
    for (;;) {
      const limited = ask();
      if (limited === undefined || performance.now() + limited.waitMs > deadlineMs) return limited;
      if (this.#answers.closed || this.#options.draining()) return limited;
      await sleep(Math.min(limited.waitMs, lookEveryMs));
    }
  }

  #refuse(code: RefusalCode, error: string): void {
    countRefusal(this.#context, code, error);
    this.#answers.push(refusal(code, error));
  }
}
