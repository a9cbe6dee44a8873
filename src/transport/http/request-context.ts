import type { IncomingHttpHeaders } from 'node:http';
import type { RequestHandler, Response } from 'express';
import type { Sender } from '../../ingest/ports.ts';
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
}

export interface ObservedRequest {
  /** Opaque; goes into Sender.trace. */
  readonly trace: unknown;
  ended(statusCode: number): void;
}

/** What the middlewares have found out about a request. */
type RequestContext = { readonly observer: RequestObserver; sender: Sender };

export function contextOf(response: Response): RequestContext {
  return response.locals.context as RequestContext;
}

export function observeRequests(observer: RequestObserver): RequestHandler {
  return (request, response, next) => {
    const { method, path, headers } = request;
    const observed = observer.started({ method, route: routeOf(path), path, headers });
    const sender: Sender = { transport: 'http', address: undefined, identity: undefined, trace: observed.trace };
    response.locals.context = { observer, sender } satisfies RequestContext;
    response.once('close', () => observed.ended(response.statusCode));
    next();
  };
}

/** Answers that the request itself is at fault. */
export function refuse(response: Response, code: RefusalCode, error: string, headers?: Record<string, string>): void {
  const { observer, sender } = contextOf(response);
  observer.refused(code, error, sender);
  send(response, refusal(code, error, headers));
}
