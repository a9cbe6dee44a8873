/** An HTTP proxy on loopback in front of an S3 server that fails the way networks and stores do. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request as requestUpstream, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * `pass` as if it were not there; `lose-answer` the store does it, the connection breaks before the answer;
 * `cut-request` the connection breaks, the store never hears of it; `stall` never answers;
 * a number: answered with this status instead of the store.
 */
export type Fault = 'pass' | 'lose-answer' | 'cut-request' | 'stall' | number;

export type S3FaultProxy = AsyncDisposable & {
  readonly endpoint: string;
  /** `PUT /bucket/key` of every request, in order. */
  readonly seen: readonly string[];
  /** Decides over every request from now on; `index` counts them from 0 since this call. */
  inject(faultOf: (request: { method: string; path: string }, index: number) => Fault): void;
};

export async function startS3FaultProxy(upstream: string): Promise<S3FaultProxy> {
  let faultOf: Parameters<S3FaultProxy['inject']>[0] = () => 'pass';
  let index = 0;
  const seen: string[] = [];
  const server = createServer((incoming, outgoing) => {
    const { method = '', url: path = '' } = incoming;
    seen.push(`${method} ${path}`);
    fail(faultOf({ method, path }, index++), incoming, outgoing, upstream);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    inject: (next) => {
      faultOf = next;
      index = 0;
    },
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

function fail(fault: Fault, incoming: IncomingMessage, outgoing: ServerResponse, upstream: string): void {
  if (fault === 'stall') incoming.resume();
  else if (fault === 'cut-request') incoming.socket.destroy();
  else if (typeof fault === 'number') incoming.resume().on('end', () => outgoing.writeHead(fault).end());
  else forward(incoming, outgoing, upstream, fault === 'lose-answer');
}

function forward(incoming: IncomingMessage, outgoing: ServerResponse, upstream: string, loseAnswer: boolean): void {
  const { hostname, port } = new URL(upstream);
  const { method, url: path, headers } = incoming;
  // The host header stays as it was signed.
  const forwarded = requestUpstream({ hostname, port, method, path, headers }, (answer) => {
    if (loseAnswer) answer.resume().on('end', () => incoming.socket.destroy());
    else answer.pipe(outgoing.writeHead(answer.statusCode ?? 502, answer.headers));
  });
  forwarded.on('error', () => incoming.socket.destroy());
  incoming.pipe(forwarded);
}
