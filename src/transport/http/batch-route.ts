import { setTimeout as sleep } from 'node:timers/promises';
import type { RequestHandler } from 'express';
import type { Admission } from '../../ingest/admission.ts';
import type { Ingest } from '../../ingest/ingest.ts';
import type { RateLimited } from '../../ingest/rate-limits.ts';
import { ParseError, parseEnvelope } from '../../record/parse.ts';
import type { Envelope } from '../../record/record.ts';
import type { RefusalCode } from '../../record/rejection.ts';
import type { PeerOf } from '../peer.ts';
import { AnswerQueue } from './answer-queue.ts';
import { bodyOf } from './body.ts';
import { type BodyBudget, BodyBudgetExceeded, type BodyShare } from './body-budget.ts';
import { refuseLimited } from './limits.ts';
import { type Line, readLines } from './lines.ts';
import { type Reply, refusal, unavailableReply, verdictReply } from './reply.ts';
import { contextOf, countRefusal, type RequestContext } from './request-context.ts';

/** Lines of one batch: a batch remembers each device that it met, so that there must be an end. */
const linesMax = 100_000;
/**
 * How long a line waits for room among the records in flight before it is answered `overloaded`: many times a commit, and
 * most of what a client waits for a sign of life.
 */
const roomWaitMs = 10_000;
/**
 * How long a batch waits for the tokens of its source and of the pod, all its lines together, and for those of each device:
 * then it answers `rate_limited`. Both together are well below the minute after which clients and balancers give up and all
 * answers are lost; and a batch that is sent again with what is left costs little beside ten seconds' worth of records.
 */
const tokenWaitMs = 10_000;
/** Lines of one batch that wait for their devices' tokens while others are read: as much as `eds send` puts into one. */
const waitingBytesMax = 2 * 1024 * 1024;
/** How often a line that waits for a token looks whether anybody is still there to be answered. */
const lookEveryMs = 500;

export type BatchRouteOptions = {
  readonly ingest: Ingest;
  readonly bodies: BodyBudget;
  readonly lineBytesMax: number;
  /** See HttpAppOptions. */
  readonly stored: 'relay' | undefined;
  readonly draining: () => boolean;
  readonly peerOf: PeerOf;
};

/** `POST /api/v1/ingest/batch`: one envelope a line in, one verdict a line out, in the same order, as they come. */
export function batchRoute(options: BatchRouteOptions): RequestHandler {
  return async (request, response) => {
    const context = contextOf(response);
    // For the first line. Of a source that had too much refused none is read.
    const limited = context.limits.take(context.sender.address);
    if (limited?.limit === 'refused') return refuseLimited(request, response, limited);
    const body = bodyOf(request, response);
    response.writeHead(200, { 'Content-Type': 'application/x-ndjson; charset=utf-8' });
    // Sent at once, so that a client that pipes can begin to read.
    response.flushHeaders();
    const answers = new AnswerQueue(response);
    const writing = answers.write();
    const peer = options.peerOf(request.socket);
    const leaving = () => options.draining() || peer.retired;
    await new Batch({ ...options, context, answers, leaving, tokenTaken: limited === undefined }).read(body);
    answers.end();
    await writing;
    // Too late for a header to say so.
    response.end(() => peer.retired && request.socket.destroySoon());
  };
}

type BatchOptions = Pick<BatchRouteOptions, 'ingest' | 'bodies' | 'lineBytesMax' | 'stored'> & {
  readonly context: RequestContext;
  readonly answers: AnswerQueue;
  /** Whether what is still to be judged has to be sent again over another connection. */
  readonly leaving: () => boolean;
  /** Whether the first line has its token of the source and the pod. */
  readonly tokenTaken: boolean;
};

/** Of one device. */
type DeviceLines = {
  /** The next line is judged after it. */
  last: Admission | undefined;
  /** How many up to `last` have no place in the device's chain yet. */
  ahead: number;
  /** How many come after `last` and wait for the device's rate. */
  waiting: number;
  /** Resolves when the last of those had its turn. */
  turn: Promise<void>;
  readonly tokens: TokenWait;
  /** Too much of it waits already: a later line must not come first. */
  full: boolean;
};

class Batch {
  readonly #options: BatchOptions;
  readonly #devices = new Map<string, DeviceLines>();
  readonly #tokens: TokenWait;
  readonly #waitingShare: BodyShare;
  #waitingBytes = 0;
  #tokenTaken: boolean;
  /** What was exhausted for too long. So it stays: a line that was not read may be anybody's, and its next must not come first. */
  #limited: RateLimited | undefined;
  readonly #givenUp = () => this.#options.answers.closed || this.#options.leaving();

  constructor(options: BatchOptions) {
    this.#options = options;
    this.#tokens = new TokenWait(this.#givenUp);
    this.#waitingShare = options.bodies.share();
    this.#tokenTaken = options.tokenTaken;
  }

  async read(body: AsyncIterable<Buffer>): Promise<void> {
    const { answers, bodies, lineBytesMax } = this.#options;
    let lines = 0;
    using share = bodies.share();
    try {
      for await (const line of readLines(body, lineBytesMax, share)) {
        await answers.room();
        if (answers.closed) return;
        if (++lines > linesMax) {
          this.#refuse('body_too_large', `a batch has at most ${linesMax} lines: send the rest in another`);
          return;
        }
        await this.#judge(line);
      }
    } catch (error) {
      if (error instanceof BodyBudgetExceeded) return answers.push(unavailableReply('overloaded'));
      // The connection broke, or the gzip stream did: what was read before is judged and answered as ever.
      this.#refuse('bad_http', `the body broke off after line ${lines}: ${(error as Error).message}`);
    }
  }

  async #judge(line: Line): Promise<void> {
    const { answers, context, lineBytesMax, leaving } = this.#options;
    const { limits, sender } = context;
    if (!this.#tokenTaken) this.#limited ??= await this.#tokens.take(() => limits.take(sender.address));
    this.#tokenTaken = false;
    if (leaving()) return answers.push(unavailableReply('draining'));
    if (this.#limited !== undefined) return answers.push(this.#limitedReply(this.#limited));
    if (line === 'too-long') return this.#refuse('body_too_large', `the line is longer than ${lineBytesMax} bytes`);
    let envelope: Envelope;
    try {
      envelope = parseEnvelope(line);
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      return this.#refuse(error.code, error.message);
    }
    const lines = this.#linesOf(envelope.record.deviceId);
    const limited = limits.device(envelope.record.deviceId, lines.ahead);
    if (limited !== undefined || lines.waiting > 0 || lines.full)
      return this.#waitForDevice(envelope, line.length, lines);
    await this.#room(envelope);
    answers.pushLater(this.#admit(envelope, lines));
  }

  #linesOf(deviceId: string): DeviceLines {
    let lines = this.#devices.get(deviceId);
    if (lines === undefined) {
      const tokens = new TokenWait(this.#givenUp);
      lines = { last: undefined, ahead: 0, waiting: 0, turn: Promise.resolve(), tokens, full: false };
      this.#devices.set(deviceId, lines);
    }
    return lines;
  }

  async #room({ payload }: Envelope): Promise<void> {
    const { ingest } = this.#options;
    const deadlineMs = performance.now() + roomWaitMs;
    while (!ingest.hasRoom(payload.length) && performance.now() < deadlineMs)
      await ingest.roomChanged(deadlineMs - performance.now());
  }

  #admit(envelope: Envelope, lines: DeviceLines): Promise<Reply> {
    const { ingest, context, stored } = this.#options;
    const admission = ingest.admit(envelope, context.sender, lines.last);
    lines.last = admission;
    lines.ahead++;
    void admission.placed.then(() => lines.ahead--);
    return admission.verdict.then((verdict) => verdictReply(verdict, stored));
  }

  /** The line is admitted when those of its device before it were and there is a token. Other devices' lines go on. */
  #waitForDevice(envelope: Envelope, lineBytes: number, lines: DeviceLines): void {
    const { answers, context } = this.#options;
    lines.full ||= !this.#holdWaiting(lineBytes);
    if (lines.full) {
      const limited = context.limits.device(envelope.record.deviceId, lines.ahead + lines.waiting);
      answers.push(this.#limitedReply(limited ?? { limit: 'device', waitMs: 0 }));
      return;
    }
    const { promise, resolve } = Promise.withResolvers<Reply>();
    answers.pushLater(promise);
    lines.waiting++;
    lines.turn = lines.turn.then(async () => {
      const { reply } = await this.#takeTurn(envelope, lines);
      resolve(reply);
      lines.waiting--;
      this.#holdWaiting(-lineBytes);
    });
  }

  /** @returns false, and holds none of them, where that is too much for this batch or for the replica */
  #holdWaiting(moreBytes: number): boolean {
    const bytes = this.#waitingBytes + moreBytes;
    if (bytes > waitingBytesMax) return false;
    try {
      this.#waitingShare.hold(bytes);
    } catch (error) {
      if (!(error instanceof BodyBudgetExceeded)) throw error;
      return false;
    }
    this.#waitingBytes = bytes;
    return true;
  }

  async #takeTurn(envelope: Envelope, lines: DeviceLines): Promise<{ reply: Reply | Promise<Reply> }> {
    const { context, leaving } = this.#options;
    // Lines take their places in order, and are charged before: from here on the rate is known exactly.
    await lines.last?.placed;
    // Behind a line that is to be sent again, this one is as well.
    if (lines.last?.settled?.status !== 'unavailable')
      await lines.tokens.take(() => context.limits.device(envelope.record.deviceId));
    if (leaving()) return { reply: unavailableReply('draining') };
    await this.#room(envelope);
    // Which has the last word on the rate.
    return { reply: this.#admit(envelope, lines) };
  }

  #limitedReply({ limit, waitMs }: RateLimited): Reply {
    const { observer, sender } = this.#options.context;
    observer.limited(limit, sender);
    return unavailableReply('rate_limited', waitMs);
  }

  #refuse(code: RefusalCode, error: string): void {
    countRefusal(this.#options.context, code, error);
    this.#options.answers.push(refusal(code, error));
  }
}

/** What a batch, or a device's part of one, has left of its time to wait for tokens. */
class TokenWait {
  readonly #givenUp: () => boolean;
  #leftMs = tokenWaitMs;

  constructor(givenUp: () => boolean) {
    this.#givenUp = givenUp;
  }

  /** @param ask takes a token, or says what is exhausted @returns the latter, where waiting would take too long or is in vain */
  async take(ask: () => RateLimited | undefined): Promise<RateLimited | undefined> {
    for (;;) {
      const limited = ask();
      if (limited === undefined || limited.waitMs > this.#leftMs || this.#givenUp()) return limited;
      const startMs = performance.now();
      await sleep(Math.min(limited.waitMs, lookEveryMs));
      this.#leftMs -= performance.now() - startMs;
    }
  }
}
