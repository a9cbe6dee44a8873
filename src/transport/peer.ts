import type { Socket } from 'node:net';

/** Who is at the other end of a connection, as found out when it was accepted. */
export type Peer = {
  /** The device's or the last proxy's, plain; behind a balancer with PROXY protocol the one that it names. */
  readonly address: string | undefined;
  /** The names in the client certificate, undefined where none was presented. */
  readonly identities: readonly string[] | undefined;
  /** Whether it was accepted on a trust that has been withdrawn since: its next answer is its last. */
  readonly retired: boolean;
};

export type PeerOf = (socket: Socket) => Peer;
