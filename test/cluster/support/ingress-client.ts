import type { IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { connect } from 'node:tls';

/** Where the service is for its devices: an address here, a name, and the authority that vouches for it (PEM). */
export type Endpoint = { readonly address: string; readonly port: number; readonly host: string; readonly ca: string };

/**
 * How a request ended. `answer`: completely; `unconnected`: there was no TLS connection for it; `broken`: the connection
 * ended before the answer did; `late`: not within the deadline.
 */
export type Exchange =
  | { readonly kind: 'answer'; readonly status: number; readonly text: string }
  | { readonly kind: 'unconnected' | 'broken' | 'late'; readonly reason: string };

/** Longer than any verdict takes, with PostgreSQL failing over and the object store away. */
const requestDeadlineMs = 40_000;

/** One device's way to the service: one request at a time. */
export class IngressClient implements Disposable {
  readonly #endpoint: Endpoint;
  readonly #agent: Agent;

  /** @param options keepAlive: one connection for all requests, or a new one for each */
  constructor(endpoint: Endpoint, { keepAlive }: { readonly keepAlive: boolean }) {
    this.#endpoint = endpoint;
    this.#agent = new Agent({ keepAlive, maxSockets: 1, ca: endpoint.ca, servername: endpoint.host });
  }

  /** Never rejects. @param body as JSON; a GET without one */
  send(path: string, body?: string): Promise<Exchange> {
    const { address, port, host } = this.#endpoint;
    const { promise, resolve } = Promise.withResolvers<Exchange>();
    const signal = AbortSignal.timeout(requestDeadlineMs);
    const outgoing = httpsRequest({
      agent: this.#agent,
      host: address,
      port,
      path,
      method: body === undefined ? 'GET' : 'POST',
      headers: { host, ...(body !== undefined && { 'content-type': 'application/json' }) },
      signal,
    });
    let connected = false;
    const fail = (error: NodeJS.ErrnoException) => {
      const kind = signal.aborted ? 'late' : connected ? 'broken' : 'unconnected';
      resolve({ kind, reason: error.code ?? error.message });
    };
    outgoing.on('socket', (socket) => {
      connected = outgoing.reusedSocket;
      if (connected) return;
      socket.once('secureConnect', () => {
        connected = true;
      });
    });
    outgoing.on('error', fail);
    outgoing.on('response', (incoming: IncomingMessage) => {
      const parts: Buffer[] = [];
      incoming.on('data', (part: Buffer) => parts.push(part));
      incoming.on('error', fail);
      incoming.on('end', () => {
        resolve({ kind: 'answer', status: incoming.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') });
      });
    });
    outgoing.end(body);
    return promise;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

const handshakeDeadlineMs = 10_000;

/** Serial number of the certificate that a new connection gets, in upper-case hex. */
export function servedSerial({ address, port, host, ca }: Endpoint): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket: TLSSocket = connect({ host: address, port, servername: host, ca }, () => {
    resolve(socket.getPeerX509Certificate()?.serialNumber ?? '');
    socket.destroy();
  });
  socket.on('error', reject);
  socket.setTimeout(handshakeDeadlineMs, () => socket.destroy(new Error('no handshake')));
  return promise;
}
