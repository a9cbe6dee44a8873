import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';

/**
 * How a request ended. `answer`: completely; `refused`: no replica took the connection; `late`: not within the deadline;
 * `broken`: the connection ended before the answer did. `text` is what of the answer came.
 */
export type Exchange =
  | { readonly kind: 'answer'; readonly status: number; readonly text: string }
  | { readonly kind: 'refused' }
  | { readonly kind: 'late' | 'broken'; readonly status: number | undefined; readonly text: string };

export type Request = {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly contentType?: string;
  readonly body?: string;
};

/**
 * Many times what an answer takes, even while Postgres recovers, and less than the service's own patience with a store
 * that hangs: some requests are given up while a replica still works on them.
 */
const requestDeadlineMs = 4_000;

/** As an ingress without health checks: each request goes to the next replica, a refused connection to the one after. */
export class RoundRobin implements Disposable {
  readonly #replicas: () => readonly string[];
  readonly #agent = new Agent({ keepAlive: true });
  #turn = 0;

  /** @param replicas their addresses as of now */
  constructor(replicas: () => readonly string[]) {
    this.#replicas = replicas;
  }

  async send(request: Request): Promise<Exchange> {
    const replicas = this.#replicas();
    const first = this.#turn++ % replicas.length;
    for (const replica of [...replicas.slice(first), ...replicas.slice(0, first)]) {
      const exchange = await exchangeOnce(replica, request, this.#agent);
      if (exchange.kind !== 'refused') return exchange;
    }
    return { kind: 'refused' };
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

/** Never rejects. */
export function exchangeOnce(baseUrl: string, request: Request, agent?: Agent): Promise<Exchange> {
  const { promise, resolve } = Promise.withResolvers<Exchange>();
  const signal = AbortSignal.timeout(requestDeadlineMs);
  const parts: Buffer[] = [];
  let response: IncomingMessage | undefined;
  const text = () => Buffer.concat(parts).toString('utf8');
  const fail = (error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNREFUSED') resolve({ kind: 'refused' });
    else resolve({ kind: signal.aborted ? 'late' : 'broken', status: response?.statusCode, text: text() });
  };
  const outgoing = httpRequest(new URL(request.path, baseUrl), {
    method: request.method,
    headers: request.contentType === undefined ? {} : { 'content-type': request.contentType },
    agent,
    signal,
  });
  outgoing.on('error', fail);
  outgoing.on('response', (incoming) => {
    response = incoming;
    incoming.on('data', (part: Buffer) => parts.push(part));
    incoming.on('error', fail);
    incoming.on('end', () => resolve({ kind: 'answer', status: incoming.statusCode ?? 0, text: text() }));
  });
  outgoing.end(request.body);
  return promise;
}
