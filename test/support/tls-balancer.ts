import { Agent, request } from 'node:https';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { TLSSocket } from 'node:tls';
import { ingestRoute } from './post.ts';

/** Many times what an answer takes on a loaded machine. */
const answerDeadlineMs = 20_000;

export type TlsAnswer = {
  readonly status: number;
  readonly body: string;
  /** The replica's address. */
  readonly url: string;
  /** Of the certificate that the connection was opened with. */
  readonly serial: string | undefined;
  /** The client's port, which no two connections to a replica have at once. */
  readonly connection: number | undefined;
};

/** As an ingress that speaks TLS to its replicas: turn by turn, over connections that it keeps. */
export class TlsBalancer implements Disposable {
  readonly #urls: readonly string[];
  readonly #agent: Agent;
  /** Of each connection: Node tells a client the certificate once, after the handshake. */
  readonly #serials: Serials = new WeakMap();
  #turn = 0;

  /** @param ca who has issued the replicas' certificates, PEM */
  constructor(urls: readonly string[], ca: string, { keepAlive = true } = {}) {
    this.#urls = urls;
    // Every handshake in full: a resumed session shows the certificate of the first.
    this.#agent = new Agent({ keepAlive, ca, maxCachedSessions: 0 });
  }

  /**
   * A replica that takes no connection is passed over.
   * @throws Error when none does, and when a request was sent and not answered
   */
  async post(body: string): Promise<TlsAnswer> {
    const first = this.#turn++ % this.#urls.length;
    for (const url of [...this.#urls.slice(first), ...this.#urls.slice(0, first)]) {
      const answer = await postOnce(this.#agent, this.#serials, url, body);
      if (answer !== 'refused') return answer;
    }
    throw new Error('no replica takes a connection');
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

/** How a replica that goes away shows itself before a request was sent. */
const refusedCodes: ReadonlySet<unknown> = new Set(['ECONNREFUSED', 'ECONNRESET']);

type Serials = WeakMap<Socket, string>;

function postOnce(agent: Agent, serials: Serials, url: string, body: string): Promise<TlsAnswer | 'refused'> {
  const { promise, resolve, reject } = Promise.withResolvers<TlsAnswer | 'refused'>();
  let sent = false;
  const outgoing = request(new URL(ingestRoute, url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    agent,
    signal: AbortSignal.timeout(answerDeadlineMs),
  });
  outgoing.on('socket', (socket) => {
    if (outgoing.reusedSocket) sent = true;
    else
      socket.once('secureConnect', () => {
        sent = true;
        const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
        if (certificate !== undefined) serials.set(socket, certificate.serialNumber);
      });
  });
  outgoing.on('error', (error: NodeJS.ErrnoException) => {
    if (!sent && refusedCodes.has(error.code)) resolve('refused');
    else reject(new Error(`${sent ? 'sent, but not answered' : 'no connection'}: ${error.message}`, { cause: error }));
  });
  outgoing.on('response', (response) => {
    const { socket, statusCode: status = 0 } = response;
    const serial = serials.get(socket);
    const connection = socket.localPort;
    text(response).then((answer) => resolve({ status, body: answer, url, serial, connection }), reject);
  });
  outgoing.end(body);
  return promise;
}
