import express, { type ErrorRequestHandler, type Request, type RequestHandler, type Response } from 'express';
import type { Ingest } from '../../ingest/ingest.ts';
import { Unavailable } from '../../ingest/ports.ts';
import type { RateLimits } from '../../ingest/rate-limits.ts';
import { clientAddress, type SourceAllowlist } from '../../ingest/source-allowlist.ts';
import { deviceIdFault } from '../../record/device.ts';
import { ParseError, parseEnvelope } from '../../record/parse.ts';
import { deviceIdBytesMax, type Envelope } from '../../record/record.ts';
import type { PeerOf } from '../peer.ts';
import { batchRoute } from './batch-route.ts';
import { BodyError, readBody } from './body.ts';
import { BodyBudget, BodyBudgetExceeded } from './body-budget.ts';
import { bodyDeadline } from './body-deadline.ts';
import { limitRate, requireRoom } from './limits.ts';
import { openapiDocument } from './openapi.ts';
import { send, unavailableReply, verdictReply } from './reply.ts';
import { contextOf, observeRequests, type RequestObserver, refuse } from './request-context.ts';
import { routes } from './routes.ts';
import { takeTurns } from './turns.ts';

export type HttpAppOptions = {
  readonly ingest: Ingest;
  readonly allowedSources: SourceAllowlist;
  readonly trustedProxies: SourceAllowlist;
  /** The same that `ingest` charges. */
  readonly limits: RateLimits;
  readonly observer: RequestObserver;
  readonly peerOf: PeerOf;
  /** Bound on one envelope: a request's body, expanded, or one line of a batch. */
  readonly envelopeBytesMax: number;
  /** What an accepted record's answer says of where it is safe, when that is not the centre yet. */
  readonly stored?: 'relay';
  readonly draining: () => boolean;
  /** Told of a failure that no reply explains. */
  readonly onError: (error: unknown) => void;
};

/** The ingest port: every answer is JSON, whatever was asked. */
export function httpApp(options: HttpAppOptions): express.Express {
  const { ingest, envelopeBytesMax, stored, draining, peerOf } = options;
  const app = express();
  app.disable('x-powered-by');
  app.set('etag', false);
  app.set('query parser', false);

  app.use(observeRequests(options));
  app.use(closeWhenDraining(draining));
  app.use(allowSources(options));
  app.use(takeTurns());

  const bodies = new BodyBudget();
  const readEnvelope = async (request: Request, response: Response): Promise<Envelope> => {
    using share = bodies.share();
    return parseEnvelope(await readBody(request, response, envelopeBytesMax, share));
  };
  app
    .route(routes.ingest)
    .post(bodyDeadline, limitRate, requireRoom(options), requireType('application/json'), async (request, response) => {
      const envelope = await readEnvelope(request, response);
      send(response, verdictReply(await ingest.admit(envelope, contextOf(response).sender).verdict, stored));
    });

  app
    .route(routes.batch)
    .post(
      (request, _response, next) => (typeOf(request) === ndjson ? next() : next('route')),
      batchRoute({ ingest, bodies, lineBytesMax: envelopeBytesMax, stored, draining, peerOf }),
    );

  app.route(routes.head).get(limitRate, async (request, response) => {
    const id = String(request.params.id);
    // What cannot be registered is not asked for: it would be looked up and remembered, whatever its length.
    const head = deviceIdFault(id) === undefined ? await ingest.head(id) : undefined;
    if (head === undefined)
      return refuse(response, 'not_found', `device ${id.slice(0, deviceIdBytesMax)} is not registered`);
    const { sequence, recordHash } = head;
    send(response, { status: 200, body: { device_id: id, sequence, record_hash: recordHash.toString('hex') } });
  });

  app.route(routes.openapi).get((_request, response) => {
    response.type('application/json').end(openapiDocument);
  });

  // What has come this far is refused, and counts as a request all the same.
  app.use(limitRate);
  app.route(routes.ingest).all(allowOnly('POST'));
  app.route(routes.batch).post(requireType(ndjson)).all(allowOnly('POST'));
  app.route(routes.head).all(allowOnly('GET, HEAD'));
  app.route(routes.openapi).all(allowOnly('GET, HEAD'));
  app.use((request, response) => {
    refuse(response, 'not_found', `no such route: ${request.path}; see /openapi.json`);
  });
  app.use(failed(options));
  return app;
}

/** The source is judged before anything of the body is read. */
function allowSources({ allowedSources, trustedProxies, peerOf }: HttpAppOptions): RequestHandler {
  return (request, response, next) => {
    const forwarded = request.get('x-forwarded-for');
    const peer = peerOf(request.socket);
    const address = clientAddress(peer.address, forwarded, trustedProxies);
    const context = contextOf(response);
    context.sender = { ...context.sender, address, identities: peer.identities };
    if (peer.retired) response.setHeader('Connection', 'close');
    if (allowedSources.allows(address)) return next();
    // The body is not read, so the connection cannot be used again.
    refuse(response, 'source_not_allowed', `source address ${address} is not allowed`, { Connection: 'close' });
  };
}

/** While draining, each connection ends with the answer that it is owed. */
function closeWhenDraining(draining: () => boolean): RequestHandler {
  return (_request, response, next) => {
    if (draining()) response.setHeader('Connection', 'close');
    next();
  };
}

const ndjson = 'application/x-ndjson';

function typeOf(request: Request): string | undefined {
  return request.get('content-type')?.split(';')[0]?.trim().toLowerCase();
}

function requireType(type: string): RequestHandler {
  return (request, response, next) => {
    if (typeOf(request) === type) return next();
    const got = request.get('content-type') ?? 'none';
    refuse(response, 'unsupported_media_type', `Content-Type must be ${type}, got ${got.slice(0, 100)}`);
  };
}

function allowOnly(methods: string): RequestHandler {
  return (request, response) => {
    refuse(response, 'method_not_allowed', `${request.method} is not allowed here: use ${methods}`, { Allow: methods });
  };
}

/** Failures as JSON. `status` of an error is express's own, as for a path that cannot be decoded. */
function failed({ onError }: HttpAppOptions): ErrorRequestHandler {
  return (error: Error & { status?: number }, request, response, _next) => {
    // The sender has gone in the middle of its body: nobody is there to be answered.
    if (request.socket.destroyed) return;
    if (response.headersSent) {
      onError(error);
      response.destroy();
      return;
    }
    if (error instanceof ParseError || error instanceof BodyError) return refuse(response, error.code, error.message);
    if (error instanceof BodyBudgetExceeded) {
      const { observer, sender } = contextOf(response);
      observer.refused('overloaded', 'too many bodies are being read', sender);
      return send(response, unavailableReply('overloaded'));
    }
    if (error.status === 400) return refuse(response, 'bad_http', `bad request: ${error.message}`);
    if (error instanceof Unavailable) return send(response, unavailableReply('ledger_unavailable'));
    onError(error);
    send(response, unavailableReply('internal_error'));
  };
}
