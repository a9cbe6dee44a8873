import type { IncomingMessage } from 'node:http';
import type { RequestHandler, Response } from 'express';
import type { Ingest } from '../../ingest/ingest.ts';
import type { RateLimited } from '../../ingest/rate-limits.ts';
import { type Reply, send, unavailableReply } from './reply.ts';
import { contextOf } from './request-context.ts';

/**
 * An unread body up to this size is read and dropped, which costs less than another connection; most envelopes are smaller.
 * Past it, or where the size is not told, the connection ends.
 */
const droppedBytesMax = 64 * 1024;

/** Takes one token of the source and of the pod, before anything of the body is read. */
export const limitRate: RequestHandler = (request, response, next) => {
  const { limits, sender } = contextOf(response);
  const limited = limits.take(sender.address);
  if (limited === undefined) return next();
  refuseLimited(request, response, limited);
};

/** Answers `rate_limited` without having read the body. */
export function refuseLimited(request: IncomingMessage, response: Response, { limit, waitMs }: RateLimited): void {
  const { observer, sender } = contextOf(response);
  observer.limited(limit, sender);
  turnAway(request, response, unavailableReply('rate_limited', waitMs));
}

/** A body is not read that would find no room: its payload is at most half of it, being in hexadecimal. */
export function requireRoom({
  ingest,
  envelopeBytesMax,
}: {
  ingest: Ingest;
  envelopeBytesMax: number;
}): RequestHandler {
  return (request, response, next) => {
    const announced = Number(request.headers['content-length'] ?? 0);
    if (ingest.hasRoom(Math.min(announced, envelopeBytesMax) / 2)) return next();
    refuseOverloaded(request, response, 'too many records in flight');
  };
}

/** Answers `overloaded` without having read the body. */
export function refuseOverloaded(request: IncomingMessage, response: Response, detail: string): void {
  const { observer, sender } = contextOf(response);
  observer.refused('overloaded', detail, sender);
  turnAway(request, response, unavailableReply('overloaded'));
}

/** Answers without having read the body. */
function turnAway(request: IncomingMessage, response: Response, reply: Reply): void {
  const { 'transfer-encoding': chunked, 'content-length': announced } = request.headers;
  if (chunked !== undefined || Number(announced ?? 0) > droppedBytesMax) response.setHeader('Connection', 'close');
  send(response, reply);
  request.resume();
}
