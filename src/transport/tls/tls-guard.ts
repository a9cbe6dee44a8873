import type { Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import { TLSSocket, type TlsOptions } from 'node:tls';
import { interpose } from '../interpose.ts';
import type { Peer } from '../peer.ts';
import type { ConnectionRefusal } from '../tcp/connection-refusal.ts';
import { readPrefix } from '../tcp/prefix.ts';
import { judgeClient } from './client-certificate.ts';
import { judgeOpening } from './opening.ts';
import { type ClientAuth, secureContextOptions, type TlsCredentials, tlsServerOptions } from './tls-options.ts';
import { handshakeRefusal } from './tls-refusal.ts';

/** For the first byte, and again for the handshake: a few round trips of a slow device on a bad link. */
const handshakeTimeoutMs = 10_000;

export type TlsGuardOptions = {
  readonly clientAuth: ClientAuth;
  readonly handshakeTimeoutMs?: number;
  readonly certificates: {
    readonly current: TlsCredentials;
    /** `trustChanged`: the CAs or revocations that clients are judged by are others now. */
    onSwap(listener: (change: { readonly trustChanged: boolean }) => void): void;
  };
};

/** Told what becomes of each connection. */
export type TlsOutcome = {
  /**
   * @param socket to end: the TLS one where a client could read an answer by it
   * @param address undefined when the client has gone meanwhile
   */
  refused(socket: Socket, reason: ConnectionRefusal, address: string | undefined): void;
  /** @param raw what was accepted, below `secure` */
  secured(raw: Socket, secure: Socket, peer: Peer): void;
};

/** A connection between its first byte and the end of its handshake. `trust` is the generation that judges it. */
type Handshake = { readonly raw: Socket; readonly address: string; readonly trust: number };

/** Takes connections from their first byte to a client that is known; certificates may change meanwhile. */
export class TlsGuard {
  readonly #options: Required<TlsGuardOptions>;
  readonly #outcome: TlsOutcome;
  readonly #handshakes = new Map<string, Handshake>();
  /** Moves with each change of CAs or revocations. */
  #trust = 0;

  constructor(options: TlsGuardOptions, outcome: TlsOutcome) {
    this.#options = { handshakeTimeoutMs, ...options };
    this.#outcome = outcome;
  }

  /** For https.createServer. */
  get serverOptions(): TlsOptions {
    const { certificates, clientAuth } = this.#options;
    return tlsServerOptions(certificates.current, clientAuth, this.#options.handshakeTimeoutMs);
  }

  attach(server: HttpsServer): void {
    const { certificates, clientAuth } = this.#options;
    certificates.onSwap(({ trustChanged }) => {
      server.setSecureContext(secureContextOptions(certificates.current, clientAuth));
      if (trustChanged) this.#trust += 1;
    });
    // Node's own listener would answer a broken handshake in HTTP.
    server.removeAllListeners('tlsClientError');
    server.on('tlsClientError', (error: NodeJS.ErrnoException, secure: TLSSocket) => {
      const handshake = this.#end(secure);
      this.#outcome.refused(secure, handshakeRefusal(error.code), handshake?.address);
    });
    interpose(server, 'secureConnection', (secure, pass) => {
      if (secure instanceof TLSSocket) this.#judge(secure, pass);
    });
  }

  /** Looks at the first bytes, and lets `handshake` begin if they are those of TLS. */
  async open(raw: Socket, address: string, handshake: () => void): Promise<void> {
    const opening = await readPrefix(raw, judgeOpening, this.#options.handshakeTimeoutMs);
    // Whoever leaves without a word, as a balancer's health check does, is refused nothing.
    if (opening === 'gone') raw.destroy();
    else if (opening === 'late') this.#outcome.refused(raw, 'handshake_timeout', address);
    else if (opening !== 'tls') this.#outcome.refused(raw, opening, address);
    else {
      const key = endpoints(raw);
      this.#handshakes.set(key, { raw, address, trust: this.#trust });
      raw.once('close', () => {
        if (this.#handshakes.get(key)?.raw === raw) this.#handshakes.delete(key);
      });
      handshake();
    }
  }

  #judge(secure: TLSSocket, pass: () => void): void {
    const handshake = this.#end(secure);
    // Its client has gone, or nobody could say who it is.
    if (handshake === undefined) {
      secure.destroy();
      return;
    }
    const { raw, address, trust } = handshake;
    const presented = {
      certificate: secure.getPeerX509Certificate(),
      authorized: secure.authorized,
      verdict: String(secure.authorizationError),
    };
    const verdict = judgeClient(presented, this.#options.clientAuth);
    if ('refusal' in verdict) {
      this.#outcome.refused(secure, verdict.refusal, address);
      return;
    }
    // An alert, as after a renegotiation that is refused, leaves a session that carries nothing more: an answer written into
    // it would wait for ever, and the connection with it.
    secure.once('error', () => secure.destroy());
    const isRetired = () => trust !== this.#trust;
    this.#outcome.secured(raw, secure, {
      address,
      identities: verdict.identities,
      get retired() {
        return isRetired();
      },
    });
    pass();
  }

  /** The handshake that `secure` has ended, well or badly. */
  #end(secure: TLSSocket): Handshake | undefined {
    const key = endpoints(secure);
    const handshake = this.#handshakes.get(key);
    this.#handshakes.delete(key);
    return handshake;
  }
}

/** What a TCP connection is known by, above TLS and below; no two that are open have it in common. */
function endpoints({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return [remoteAddress, remotePort, localAddress, localPort].join(' ');
}
