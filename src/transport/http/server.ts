import { once } from 'node:events';
import { createServer, type RequestListener, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import { type AddressInfo, Server as NetServer, type Socket } from 'node:net';
import type { Connections } from '../connections.ts';
import { rawAnswer } from './raw-answer.ts';
import { type Reply, refusal, send } from './reply.ts';

/** Request line and headers of the slowest honest client; beyond it, slowloris. */
const headersTimeoutMs = 10_000;
/** A whole request. A batch over a slow link takes minutes; a single envelope has its own, shorter deadline. */
const requestTimeoutMs = 300_000;
/** A connection on which nothing moves in either direction while a request is open. */
const idleTimeoutMs = 60_000;
/** Longer than a load balancer's usual 60 s, so that it is the balancer who closes and no request meets a closed one. */
const keepAliveTimeoutMs = 65_000;
/** How often a draining server looks for connections that have become idle. */
const sweepMs = 50;
const headerBytesMax = 16 * 1024;
/** Of a port that counts them by no gate. Each costs a file descriptor and some tens of kilobytes. */
const connectionsMax = 10_000;

export type ListenAddress = { readonly host: string; readonly port: number };

const serverOptions: ServerOptions = {
  headersTimeout: headersTimeoutMs,
  requestTimeout: requestTimeoutMs,
  keepAliveTimeout: keepAliveTimeoutMs,
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: headerBytesMax,
  insecureHTTPParser: false,
  // Node would refuse with an empty body: listen does it, in JSON.
  requireHostHeader: false,
  noDelay: true,
};

/**
 * An HTTP server that listens; resolves once it does.
 * @param connections who may connect and how, over TLS where they say so; anybody in plain HTTP without
 * @throws when the address is taken or not ours
 */
export async function listen(
  listener: RequestListener,
  { host, port }: ListenAddress,
  connections?: Connections,
): Promise<HttpListener> {
  const responses = new WeakMap<Socket, ServerResponse>();
  const serve: RequestListener = (request, response) => {
    responses.set(request.socket, response);
    if (request.headers.host !== undefined || request.httpVersion === '1.0') return listener(request, response);
    send(response, refusal('bad_http', 'HTTP/1.1 needs a Host header', { Connection: 'close' }));
  };
  const server = connections?.createServer(serverOptions, serve) ?? createServer(serverOptions, serve);
  if (!connections) server.maxConnections = connectionsMax;
  server.timeout = idleTimeoutMs;
  // Whoever waits for `100 Continue` is invited by the reader of the body, or refused before it has sent one.
  server.on('checkContinue', serve);
  // RFC 9110 section 10.1.1: other expectations may be ignored.
  server.on('checkExpectation', serve);
  server.on('clientError', (error: ClientError, socket: Socket) => {
    if (error.rawPacket) connections?.sawBadHttp(socket, error.rawPacket);
    const response = responses.get(socket);
    // Nothing may be written into an answer that has begun.
    if (response?.headersSent && !response.writableFinished) socket.destroy();
    else answerClientError(error, socket);
  });
  server.on('connect', (_request, socket: Socket) => {
    answerRaw(socket, refusal('bad_http', 'CONNECT is not served: this is no proxy'));
  });
  server.listen(port, host);
  await once(server, 'listening');
  return new HttpListener(server, connections);
}

/** `rawPacket`: the bytes that Node's parser refused. */
type ClientError = NodeJS.ErrnoException & { readonly rawPacket?: Buffer };

export class HttpListener {
  readonly #server: Server | SecureServer;
  readonly #connections: Connections | undefined;

  constructor(server: Server | SecureServer, connections?: Connections) {
    this.#server = server;
    this.#connections = connections;
  }

  /** As bound; the port is the real one where 0 was asked for. */
  get address(): ListenAddress {
    const { address, port } = this.#server.address() as AddressInfo;
    return { host: address, port };
  }

  /**
   * Stops accepting and waits until every request in flight is answered. Idle connections are closed `idleGraceMs` later:
   * on one that is kept alive a request may be on its way, and gets its answer with `Connection: close`.
   */
  async drain(idleGraceMs = 0): Promise<void> {
    const closed = once(this.#server, 'close');
    // As a net.Server: http's own close() would close the idle ones at once.
    NetServer.prototype.close.call(this.#server);
    const graceEndsMs = performance.now() + idleGraceMs;
    const sweep = setInterval(() => {
      if (performance.now() < graceEndsMs) return;
      this.#server.closeIdleConnections();
      this.#connections?.destroyUnserved();
    }, sweepMs);
    await closed;
    clearInterval(sweep);
  }

  /** Ends every connection now. */
  destroy(): void {
    this.#server.closeAllConnections();
    this.#connections?.destroyUnserved();
  }
}

/** What Node's parser refused before there was a request. */
function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  answerRaw(socket, clientErrorReply(error.code));
}

function answerRaw(socket: Socket, reply: Reply): void {
  socket.end(rawAnswer(reply));
}

function clientErrorReply(code: string | undefined): Reply {
  if (code === 'HPE_HEADER_OVERFLOW')
    return refusal('headers_too_large', `headers are larger than ${headerBytesMax} bytes`);
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return refusal('request_timeout', 'the request did not arrive in time');
  return refusal('bad_http', 'not a valid HTTP/1.1 request');
}
