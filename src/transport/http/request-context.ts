import type { IncomingHttpHeaders } from 'node:http';
import type { RequestHandler, Response } from 'express';
import type { Sender } from '../../ingest/ports.ts';
import type { RateLimited, RateLimits } from '../../ingest/rate-limits.ts';
import type { RefusalCode } from '../../record/rejection.ts';
import { refusal, send } from './reply.ts';
import { routeOf } from './routes.ts';

/** Told of every request; starts its trace and measures it. */
export interface RequestObserver {
  /** @param request its `route` is the matched pattern, undefined where none matches */
  started(request: {
    method: string;
    route: string | undefined;
    path: string;
    headers: IncomingHttpHeaders;
  }): ObservedRequest;
  /** A request, or a line of a batch, was refused before it was a record to judge. */
  refused(code: RefusalCode, detail: string, sender: Sender): void;
  /** The same was answered `rate_limited`. */
  limited(limit: RateLimited['limit'], sender: Sender): void;
}

export interface ObservedRequest {
  /** Opaque; goes into Sender.trace. */
  readonly trace: unknown;
  ended(statusCode: number): void;
}

/** What the middlewares have found out about a request. */
export type RequestContext = { readonly observer: RequestObserver; readonly limits: RateLimits; sender: Sender };

export function contextOf(response: Response): RequestContext {
  return response.locals.context as RequestContext;
}

export function observeRequests({ observer, limits }: Omit<RequestContext, 'sender'>): RequestHandler {
  return (request, response, next) => {
    const { method, path, headers } = request;
    const observed = observer.started({ method, route: routeOf(path), path, headers });
    const sender: Sender = { transport: 'http', address: undefined, identities: undefined, trace: observed.trace };
    response.locals.context = { observer, limits, sender } satisfies RequestContext;
    response.once('close', () => observed.ended(response.statusCode));
    next();
  };
}

/** Answers that the request itself is at fault. */
export function refuse(response: Response, code: RefusalCode, error: string, headers?: Record<string, string>): void {
  countRefusal(contextOf(response), code, error);
  send(response, refusal(code, error, headers));
}

/** A request, or a line of a batch, is refused before it was a record: it is told, and counts against its source. */
export function countRefusal({ observer, limits, sender }: RequestContext, code: RefusalCode, error: string): void {
  observer.refused(code, error, sender);
  // A source that is not allowed gets no further anyway: it must not crowd out those that are.
  if (code !== 'source_not_allowed') limits.chargeRefusal(sender.address);
}
