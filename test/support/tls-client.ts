import { Agent, request } from 'node:https';
import { text } from 'node:stream/consumers';
import type { Issued } from './certificates.ts';
import { ingestRoute } from './post.ts';
import { batchRoute, ndjson, type Verdict, verdictsOf } from './post-batch.ts';

/** Many times what an answer takes on a loaded machine. */
const answerDeadlineMs = 20_000;

export type TlsReply = {
  readonly status: number;
  readonly text: string;
  /** Whether the server has said that this connection ends. */
  readonly closes: boolean;
  /** The client's port, which no two connections have at once. */
  readonly connection: number | undefined;
};

/** One device or gateway, over one connection that it keeps as long as it may, with its certificate if it has one. */
export class TlsClient implements Disposable {
  readonly #url: string;
  readonly #agent: Agent;

  /** @param ca who has issued the server's certificate, PEM */
  constructor(url: string, ca: string, own?: Issued) {
    this.#url = url;
    const identity = own && { cert: own.cert, key: own.key };
    this.#agent = new Agent({ keepAlive: true, maxSockets: 1, ca, ...identity });
  }

  send(body: string): Promise<TlsReply> {
    return this.#post(ingestRoute, body, { 'content-type': 'application/json' });
  }

  async sendBatch(bodies: readonly string[]): Promise<Verdict[]> {
    return verdictsOf((await this.#post(batchRoute, bodies.join('\n'), ndjson)).text);
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  /** @throws Error when there is no whole answer */
  #post(route: string, body: string, headers: Readonly<Record<string, string>>): Promise<TlsReply> {
    const { promise, resolve, reject } = Promise.withResolvers<TlsReply>();
    const outgoing = request(new URL(route, this.#url), {
      method: 'POST',
      headers,
      agent: this.#agent,
      signal: AbortSignal.timeout(answerDeadlineMs),
    });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      const { statusCode: status = 0, socket } = response;
      const closes = response.headers.connection === 'close';
      const connection = socket.localPort;
      text(response).then((text) => resolve({ status, text, closes, connection }), reject);
    });
    outgoing.end(body);
    return promise;
  }
}
