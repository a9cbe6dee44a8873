import type { RequestListener } from 'node:http';
import type { ServiceConfig, TlsConfig } from '../config.ts';
import { connectionLog } from '../telemetry/connection-log.ts';
import { logMessages } from '../telemetry/log-messages.ts';
import { Connections } from '../transport/connections.ts';
import { refusedConnectionAnswer } from '../transport/http/refused-connection.ts';
import { type HttpListener, listen } from '../transport/http/server.ts';
import type { PeerOf } from '../transport/peer.ts';
import { connectionRefusals } from '../transport/tcp/connection-refusal.ts';
import { type Certificates, openCertificates } from '../transport/tls/certificates.ts';
import { Failure } from './command.ts';
import { systemClock } from './system-clock.ts';
import type { Telemetry } from './telemetry.ts';

export type IngestPortOptions = {
  readonly config: ServiceConfig;
  readonly tls: TlsConfig | undefined;
  readonly telemetry: Pick<Telemetry, 'logger' | 'metrics'>;
  /** Answers the requests; it is told who asks. */
  readonly app: (peerOf: PeerOf) => RequestListener;
};

export type IngestPort = Pick<HttpListener, 'address' | 'drain' | 'destroy'> & {
  /** Reads the certificate files again. */
  reload(): Promise<void>;
  /** Ends what watches the certificates; the connections are drained before. */
  [Symbol.asyncDispose](): Promise<void>;
};

/** Listens where records arrive, over TLS if `tls` is given. @throws Failure when the certificates will not do */
export async function openIngestPort({ config, tls, telemetry, app }: IngestPortOptions): Promise<IngestPort> {
  const { logger, metrics } = telemetry;
  const { trustedProxies, proxyProtocolFrom, connectionsPerSourceMax } = config;
  const certificates = tls && (await readCertificates(tls, telemetry));
  const connections: Connections = new Connections({
    // In plain HTTP whoever is not allowed gets an answer, which costs no cryptography.
    acceptFrom: tls && config.allowedSources,
    trustedProxies,
    proxyProtocolFrom,
    connectionsPerSourceMax,
    ...(certificates && { tls: { certificates, clientAuth: tls?.clients?.auth ?? 'none' } }),
    answer: refusedConnectionAnswer,
    observer: connectionLog({
      logger,
      count: metrics.watchConnections(connectionRefusals, () => connections.open),
      now: systemClock.now,
    }),
  });
  const listener = await listen(app(connections.peerOf), config.ingestAddress, connections);
  return {
    address: listener.address,
    drain: (idleGraceMs) => listener.drain(idleGraceMs),
    destroy: () => listener.destroy(),
    reload: async () => void (await certificates?.reload()),
    async [Symbol.asyncDispose](): Promise<void> {
      await certificates?.[Symbol.asyncDispose]();
    },
  };
}

async function readCertificates(
  { certFile, keyFile, clients }: TlsConfig,
  { logger, metrics }: IngestPortOptions['telemetry'],
): Promise<Certificates> {
  const files = { certFile, keyFile, clientCaFile: clients?.caFile, crlFile: clients?.crlFile };
  const served = (serial: string, expiresAtMs: number) => ({ serial, expires_at: new Date(expiresAtMs).toISOString() });
  const certificates: Certificates = await openCertificates(files, {
    now: systemClock.now,
    observer: {
      swapped: ({ serial, expiresAtMs, trustChanged }) => {
        count('swapped');
        logger.info({ ...served(serial, expiresAtMs), trust_changed: trustChanged }, logMessages.certificateSwapped);
      },
      refused: (reason) => {
        count('refused');
        logger.error(
          { detail: reason, ...served(certificates.serial, certificates.expiresAtMs) },
          logMessages.certificateRefused,
        );
      },
    },
  }).catch((error: Error) => {
    throw new Failure(error.message);
  });
  const count = metrics.watchCertificate(() => certificates.expiresAtMs);
  return certificates;
}
