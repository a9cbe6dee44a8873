/** A port behind a gate, with or without TLS, whose app tells each client who it seems to be. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type TLSSocket, type ConnectionOptions as TlsClientOptions } from 'node:tls';
import { SourceAllowlist } from '../src/ingest/source-allowlist.ts';
import { Connections, type ConnectionsOptions } from '../src/transport/connections.ts';
import { refusedConnectionAnswer } from '../src/transport/http/refused-connection.ts';
import { listen } from '../src/transport/http/server.ts';
import type { ConnectionRefusal } from '../src/transport/tcp/connection-refusal.ts';
import type { ClientAuth, TlsCredentials } from '../src/transport/tls/tls-options.ts';
import { authority, type Issued, serverCertificate } from './support/certificates.ts';
import { answerDeadlineMs, answerUntilClose, firstAnswer, openSocket, type RawAnswer } from './support/raw-http.ts';

const sources = (...entries: string[]) => new SourceAllowlist(entries);
export const request = 'GET / HTTP/1.1\r\nHost: test\r\n\r\n';

export type PortOptions = Partial<Omit<ConnectionsOptions, 'observer' | 'answer' | 'acceptFrom'>> & {
  readonly acceptFrom?: SourceAllowlist | undefined;
};

export async function openPort(options: PortOptions = {}) {
  const refusals: ConnectionRefusal[] = [];
  const addresses: (string | undefined)[] = [];
  const connections = new Connections({
    acceptFrom: sources('127.0.0.0/8'),
    trustedProxies: sources(),
    proxyProtocolFrom: sources(),
    ...options,
    answer: refusedConnectionAnswer,
    observer: {
      refused: (reason, address) => {
        refusals.push(reason);
        addresses.push(address);
      },
    },
  });
  const listener = await listen(
    (request, response) => {
      const { address, identities, retired } = connections.peerOf(request.socket);
      if (retired) response.setHeader('Connection', 'close');
      response.end(JSON.stringify({ address, identities, retired }));
    },
    { host: '127.0.0.1', port: 0 },
    connections,
  );
  const { port } = listener.address;
  return {
    port,
    connections,
    refusals,
    addresses,
    listener,
    async [Symbol.asyncDispose](): Promise<void> {
      listener.destroy();
      await listener.drain();
    },
  };
}

export type Port = Awaited<ReturnType<typeof openPort>>;

/** Who the app takes the client to be, asked on a connection that stays open. */
export async function whoAmI(socket: Awaited<ReturnType<typeof openSocket>>): Promise<Record<string, unknown>> {
  socket.write(request);
  const { text } = await firstAnswer(socket);
  return JSON.parse(text) as Record<string, unknown>;
}

/** Looks again in each turn of the event loop until `condition` holds. */
export async function until(condition: () => boolean, state: () => string): Promise<void> {
  const lateMs = performance.now() + answerDeadlineMs;
  while (!condition()) {
    assert.ok(performance.now() < lateMs, `still not: ${state()}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Waits until the port has refused `count` connections. */
export function refused({ refusals }: Port, count: number): Promise<void> {
  return until(
    () => refusals.length >= count,
    () => `refused ${refusals.join(', ') || 'nothing'} of ${count}`,
  );
}

/** Certificates that a test swaps by hand. */
export class SwappableCertificates {
  current: TlsCredentials;
  #listener: (change: { readonly trustChanged: boolean }) => void = () => {};

  constructor(first: TlsCredentials) {
    this.current = first;
  }

  onSwap(listener: (change: { readonly trustChanged: boolean }) => void): void {
    this.#listener = listener;
  }

  swap(next: TlsCredentials, trustChanged: boolean): void {
    this.current = next;
    this.#listener({ trustChanged });
  }
}

export type TlsPortOptions = PortOptions & {
  readonly clientAuth?: ClientAuth;
  readonly handshakeTimeoutMs?: number;
  readonly certificates?: SwappableCertificates;
};

/** Its server and its clients are vouched for by the default authority. */
export async function openTlsPort({
  clientAuth = 'none',
  handshakeTimeoutMs,
  certificates,
  ...options
}: TlsPortOptions = {}) {
  return openPort({
    ...options,
    tls: {
      clientAuth,
      certificates: certificates ?? new SwappableCertificates(await credentials()),
      ...(handshakeTimeoutMs !== undefined && { handshakeTimeoutMs }),
    },
  });
}

export async function credentials(more: Partial<TlsCredentials> = {}): Promise<TlsCredentials> {
  const [{ cert, key }, ca] = await Promise.all([serverCertificate(), authority()]);
  return { cert, key, ca: [ca.cert], ...more };
}

export async function tlsSocket(port: Port, options: TlsClientOptions = {}): Promise<TLSSocket> {
  const ca = (await authority()).cert;
  const socket = connect({ host: '127.0.0.1', port: port.port, ca, ALPNProtocols: ['http/1.1'], ...options });
  await once(socket, 'secureConnect', { signal: AbortSignal.timeout(answerDeadlineMs) });
  return socket;
}

/** The error code with which the handshake fails on the client's side. */
export async function handshakeError(port: Port, options: TlsClientOptions): Promise<string> {
  const outcome: unknown = await tlsSocket(port, options).then(
    (socket) => socket.destroy(),
    (error: unknown) => error,
  );
  assert.ok(outcome instanceof Error && 'code' in outcome, 'the handshake succeeds');
  return String(outcome.code);
}

/** What a client with this certificate is answered before its connection ends. */
export async function answerTo(port: Port, client: Pick<Issued, 'cert' | 'key'> | undefined): Promise<RawAnswer> {
  return answerUntilClose(await tlsSocket(port, client && { cert: client.cert, key: client.key }));
}

/** Somebody else is served at once. */
export async function assertServed(port: Port, options: TlsClientOptions | 'plain' = {}): Promise<void> {
  const socket = options === 'plain' ? await openSocket(port.port) : await tlsSocket(port, options);
  const { address } = await whoAmI(socket);
  assert.equal(address, '127.0.0.1');
  socket.destroy();
}
