import express, { type ErrorRequestHandler, type Express, type Request, type Response } from 'express';
import { Readiness, type ReadinessOptions } from './readiness.ts';
import { refusal, send, unavailableReply } from './reply.ts';

export type OpsOptions = ReadinessOptions & {
  readonly metrics: { readonly contentType: string; metrics(): Promise<string> };
  /** Told of what broke while answering; the answer itself says nothing of it. */
  readonly onError: (error: unknown) => void;
};

/**
 * The operations port, for the orchestrator and the scraper; it is not for devices and needs no allowed sources.
 * `/livez` 200 while the event loop turns; it asks for nothing else, since a restart heals no database.
 * `/readyz` 200 when every check passes, else 503; the body names each check.
 * `/startupz` 200 from the first time that the service was ready.
 * `/metrics` the Prometheus text format.
 */
export function createOpsApp(options: OpsOptions): Express {
  const readiness = new Readiness(options);
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use((_request, response, next) => {
    response.set('Cache-Control', 'no-store');
    next();
  });
  const routes: Record<string, (response: Response) => Promise<void> | void> = {
    '/livez': (response) => void response.json({ status: 'alive' }),
    '/readyz': async (response) => {
      const report = await readiness.report();
      response.status(report.status === 'ready' ? 200 : 503).json(report);
    },
    '/startupz': async (response) => {
      const started = await readiness.hasStarted();
      response.status(started ? 200 : 503).json({ status: started ? 'started' : 'starting' });
    },
    '/metrics': async (response) => {
      const text = await options.metrics.metrics();
      // Not Express's own `send`, which would rewrite the content type that Prometheus negotiates by.
      response.setHeader('Content-Type', options.metrics.contentType);
      response.end(text);
    },
  };
  for (const [path, answer] of Object.entries(routes)) {
    app
      .route(path)
      .get((_request, response) => answer(response))
      .all((request, response) => {
        const error = `${path} answers GET, not ${request.method}`;
        send(response, refusal('method_not_allowed', error, { Allow: 'GET, HEAD' }));
      });
  }
  app.use((_request: Request, response: Response) => {
    send(response, refusal('not_found', `no such route; there are ${Object.keys(routes).join(', ')}`));
  });
  const onError: ErrorRequestHandler = (error, _request, response, next) => {
    options.onError(error);
    if (response.headersSent) next(error);
    else send(response, unavailableReply('internal_error'));
  };
  app.use(onError);
  return app;
}
