import type { RequestHandler } from 'express';
import { refuse } from './request-context.ts';

/** One envelope over the slowest mobile link takes seconds. */
const bodyDeadlineMs = 30_000;

/** Ends a request whose body is still coming after its time: a connection must not be held by a drip of bytes. */
export const bodyDeadline: RequestHandler = (request, response, next) => {
  const timer = setTimeout(() => {
    // Answered already, and still sending.
    if (response.headersSent) {
      request.destroy();
      return;
    }
    response.once('finish', () => request.destroy());
    const what = `the body did not arrive within ${bodyDeadlineMs / 1000} s`;
    refuse(response, 'request_timeout', what, { Connection: 'close' });
  }, bodyDeadlineMs);
  // Node does not close a request that was answered before its end: its connection may be long gone by then.
  timer.unref();
  request.once('end', () => clearTimeout(timer));
  request.once('close', () => clearTimeout(timer));
  next();
};
