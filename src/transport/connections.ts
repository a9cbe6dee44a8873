import { createServer, type RequestListener, type Server, type ServerOptions } from 'node:http';
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https';
import type { Socket } from 'node:net';
import { interpose } from './interpose.ts';
import type { Peer, PeerOf } from './peer.ts';
import type { ConnectionRefusal } from './tcp/connection-refusal.ts';
import { Gate, type GateOptions } from './tcp/gate.ts';
import { beginsAsProxyHeader } from './tcp/proxy-header.ts';
import { TlsGuard, type TlsGuardOptions } from './tls/tls-guard.ts';

/** For a client to read why it was refused: a reset straight behind the answer could overtake it. */
const lingerMs = 1_000;

/** A peer of whom nothing is known is allowed nothing. */
const nobody: Peer = { address: undefined, identities: undefined, retired: false };

export type ConnectionsOptions = GateOptions & {
  /** Makes it HTTPS. */
  readonly tls?: TlsGuardOptions;
  /** A whole HTTP answer for a client that would understand one; undefined where silence is the answer. */
  readonly answer: (reason: ConnectionRefusal) => string | undefined;
};

/** The connections of one port, plain or TLS, from accept on: who may have one, and who is at its other end. */
export class Connections {
  readonly #gate: Gate;
  readonly #tls: TlsGuard | undefined;
  readonly #answer: ConnectionsOptions['answer'];
  readonly #observer: ConnectionsOptions['observer'];
  readonly #peers = new WeakMap<Socket, Peer>();
  /** Accepted, and not HTTP's yet. */
  readonly #unserved = new Set<Socket>();

  constructor({ tls, answer, ...gate }: ConnectionsOptions) {
    this.#gate = new Gate(gate);
    this.#answer = answer;
    this.#observer = gate.observer;
    this.#tls =
      tls &&
      new TlsGuard(tls, {
        refused: (socket, reason, address) => this.#refuse(socket, reason, address),
        secured: (raw, secure, peer) => this.#serve(raw, secure, peer),
      });
  }

  /** How many are open now. */
  get open(): number {
    return this.#gate.open;
  }

  /** Of the socket of a request. */
  readonly peerOf: PeerOf = (socket) => this.#peers.get(socket) ?? nobody;

  /** An HTTP or HTTPS server, not listening yet, whose connections are those that pass. */
  createServer(options: ServerOptions, listener: RequestListener): Server | SecureServer {
    const tls = this.#tls;
    const secureServer = tls && createSecureServer({ ...options, ...tls.serverOptions }, listener);
    if (secureServer) tls.attach(secureServer);
    const server = secureServer ?? createServer(options, listener);
    interpose(server, 'connection', (socket, pass) => void this.#accept(socket, pass));
    return server;
  }

  /** Told of bytes on a plain port that were no HTTP: a PROXY header counts as one where nobody may send it. */
  sawBadHttp(socket: Socket, bytes: Buffer): void {
    if (beginsAsProxyHeader(bytes)) this.#observer.refused('proxy_header_from_stranger', this.peerOf(socket).address);
  }

  /** Ends those that are still on their way to a first request. */
  destroyUnserved(): void {
    for (const socket of this.#unserved) socket.destroy();
  }

  async #accept(socket: Socket, pass: () => void): Promise<void> {
    this.#unserved.add(socket);
    socket.once('close', () => this.#unserved.delete(socket));
    const address = await this.#gate.admit(socket);
    if (address === undefined) return;
    if (this.#tls) return this.#tls.open(socket, address, pass);
    this.#serve(socket, socket, { address, identities: undefined, retired: false });
    pass();
  }

  /** @param raw as accepted @param served as HTTP gets it */
  #serve(raw: Socket, served: Socket, peer: Peer): void {
    this.#unserved.delete(raw);
    this.#peers.set(served, peer);
  }

  #refuse(socket: Socket, reason: ConnectionRefusal, address: string | undefined): void {
    this.#observer.refused(reason, address);
    const text = this.#answer(reason);
    if (text === undefined || !socket.writable) return void socket.destroy();
    const linger = setTimeout(() => socket.destroy(), lingerMs);
    socket.once('close', () => clearTimeout(linger));
    // What it goes on sending is of no interest.
    socket.on('error', () => {}).resume();
    socket.end(text);
  }
}
