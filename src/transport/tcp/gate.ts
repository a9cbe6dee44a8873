import type { Socket } from 'node:net';
import { sourceOf } from '../../ingest/rate-limits.ts';
import { type SourceAllowlist, unmapped } from '../../ingest/source-allowlist.ts';
import type { ConnectionObserver, ConnectionRefusal } from './connection-refusal.ts';
import { readPrefix } from './prefix.ts';
import { type ProxyHeader, type ProxyHeaderFault, parseProxyHeader } from './proxy-header.ts';

/** Each costs a file descriptor and some tens of kilobytes. */
export const connectionsMax = 10_000;
/** A site's devices behind one address, many times over; one address alone cannot take all connections. */
export const connectionsPerSourceMax = 4_096;
/** Balancers send the header at once: the least that the PROXY protocol allows for, so that a lost packet can be resent. */
const proxyHeaderDeadlineMs = 3_000;

export type GateOptions = {
  /** Everybody else is refused at accept. Undefined where the app refuses, with an answer. */
  readonly acceptFrom: SourceAllowlist | undefined;
  /** They speak for others, request by request: admitted whatever `acceptFrom` says, and in any number. */
  readonly trustedProxies: SourceAllowlist;
  /** Balancers that begin each connection with a PROXY header, which names the source; they must. */
  readonly proxyProtocolFrom: SourceAllowlist;
  readonly connectionsMax?: number;
  readonly connectionsPerSourceMax?: number;
  readonly proxyHeaderDeadlineMs?: number;
  readonly observer: ConnectionObserver;
};

/** Decides who may connect, before anything is spent on a connection but its descriptor. */
export class Gate {
  readonly #options: Required<GateOptions>;
  readonly #openBySource = new Map<string, number>();
  #open = 0;

  constructor(options: GateOptions) {
    this.#options = { connectionsMax, connectionsPerSourceMax, proxyHeaderDeadlineMs, ...options };
  }

  /** Connections that are open now, admitted or not yet. */
  get open(): number {
    return this.#open;
  }

  /** @returns the address of the source; undefined when the connection was refused, or has ended, and is destroyed */
  async admit(socket: Socket): Promise<string | undefined> {
    const { trustedProxies, proxyProtocolFrom } = this.#options;
    // What happens to a connection shows by its 'close', which follows.
    socket.on('error', () => {});
    const peer = socket.remoteAddress;
    if (peer === undefined) return this.#drop(socket);
    const own = unmapped(peer);
    this.#open += 1;
    socket.once('close', () => {
      this.#open -= 1;
    });
    if (this.#open > this.#options.connectionsMax) return this.refuse(socket, 'too_many_connections', own);
    if (!proxyProtocolFrom.allows(own)) return this.#judge(socket, own, trustedProxies.allows(own));

    const header = await this.#readHeader(socket);
    if (header === 'gone') return this.#drop(socket);
    if (typeof header === 'string') return this.refuse(socket, header, own);
    const { source } = header;
    // For itself, it may connect: what it then asks for is the app's to judge.
    return source === undefined ? own : this.#judge(socket, unmapped(source), false);
  }

  /** Tells the observer and destroys the connection. */
  refuse(socket: Socket, reason: ConnectionRefusal, address: string | undefined): undefined {
    this.#options.observer.refused(reason, address);
    return this.#drop(socket);
  }

  #drop(socket: Socket): undefined {
    socket.destroy();
    return undefined;
  }

  #judge(socket: Socket, address: string, isExempt: boolean): string | undefined {
    const { acceptFrom, trustedProxies } = this.#options;
    if (acceptFrom && !acceptFrom.allows(address) && !trustedProxies.allows(address))
      return this.refuse(socket, 'source_not_allowed', address);
    if (isExempt) return address;
    const source = sourceOf(address);
    const count = (this.#openBySource.get(source) ?? 0) + 1;
    if (count > this.#options.connectionsPerSourceMax)
      return this.refuse(socket, 'too_many_connections_of_source', address);
    this.#openBySource.set(source, count);
    socket.once('close', () => this.#forget(source));
    return address;
  }

  #forget(source: string): void {
    const left = (this.#openBySource.get(source) ?? 0) - 1;
    if (left > 0) this.#openBySource.set(source, left);
    else this.#openBySource.delete(source);
  }

  async #readHeader(socket: Socket): Promise<ProxyHeader | ProxyHeaderFault | 'proxy_header_timeout' | 'gone'> {
    const header = await readPrefix(socket, parseProxyHeader, this.#options.proxyHeaderDeadlineMs);
    return header === 'late' ? 'proxy_header_timeout' : header;
  }
}
