import type { RequestListener } from 'node:http';
import packageJson from '../../package.json' with { type: 'json' };
import type { ServiceConfig, TlsConfig } from '../config.ts';
import type { Ingest } from '../ingest/ingest.ts';
import type { RateLimits } from '../ingest/rate-limits.ts';
import { type DrainStep, drain } from '../lifecycle.ts';
import { httpApp } from '../transport/http/app.ts';
import { createOpsApp, type OpsOptions } from '../transport/http/ops-app.ts';
import { type HttpListener, listen } from '../transport/http/server.ts';
import { Failure, type Io } from './command.ts';
import { openIngestPort } from './ingest-port.ts';
import type { Telemetry } from './telemetry.ts';

/** What connections and background work may take to close once nothing is in flight. */
const closeDeadlineMs = 3_000;

/** How long a request may already be on its way on an idle connection: a round trip, generously. */
const idleGraceMs = 500;

export type HttpService = {
  readonly config: ServiceConfig;
  /** Makes the ingest port speak TLS. */
  readonly tls?: TlsConfig | undefined;
  readonly telemetry: Telemetry;
  readonly ingest: Ingest;
  readonly limits: RateLimits;
  readonly checks: OpsOptions['checks'];
  /** See HttpAppOptions. */
  readonly stored?: 'relay';
  readonly metrics: OpsOptions['metrics'];
  /** Puts routes of its own in front of those of every operations port. */
  readonly extendOps?: (ops: RequestListener) => RequestListener;
  /** Waited for before the ingest port opens; the probes answer by then. */
  readonly prepare?: () => Promise<void>;
  /** Starts what runs beside the requests, before the ingest port opens. Ends with the signal. */
  readonly background: () => Promise<void>;
  /** Closes the stores, when nothing is in flight any more. */
  readonly close: () => Promise<void>;
};

/** Opens both ports, waits for the signal, and closes everything in order. @throws Failure when not all of it ended in time */
export async function serveHttp(
  service: HttpService,
  { signal, onReload }: Pick<Io, 'signal' | 'onReload'>,
): Promise<void> {
  const { config, tls, ingest, limits, telemetry, checks, metrics } = service;
  const { logger } = telemetry;
  const onError = (error: unknown) => logger.error({ error }, 'unexpected failure');
  const draining = () => signal.aborted;
  let reload = async () => {};
  using _reloading = onReload?.(() => void reload());
  const opsApp: RequestListener = createOpsApp({ checks, draining, metrics, onError });
  const ops = await listen(service.extendOps?.(opsApp) ?? opsApp, config.opsAddress);
  const ports: Pick<HttpListener, 'destroy'>[] = [ops];
  const steps: DrainStep[] = [
    { name: 'stores', deadlineMs: closeDeadlineMs, run: () => service.close() },
    { name: 'operations port', deadlineMs: closeDeadlineMs, run: () => ops.drain() },
  ];
  await service.prepare?.();
  // Told to stop meanwhile, there is nothing to take records for.
  if (!signal.aborted) {
    const background = service.background();
    const { allowedSources, trustedProxies, envelopeBytesMax } = config;
    const { requestObserver: observer } = telemetry;
    const stored = service.stored && { stored: service.stored };
    const app = {
      ingest,
      limits,
      allowedSources,
      trustedProxies,
      observer,
      envelopeBytesMax,
      draining,
      onError,
      ...stored,
    };
    const ingestPort = await openIngestPort({
      config,
      tls,
      telemetry,
      app: (peerOf) => httpApp({ ...app, peerOf }),
    });
    reload = () => ingestPort.reload();
    logger.info({ ingest: ingestPort.address, ops: ops.address, version: packageJson.version }, 'listening');
    ports.push(ingestPort);
    steps.unshift(
      { name: 'requests in flight', deadlineMs: config.drainDeadlineMs, run: () => ingestPort.drain(idleGraceMs) },
      { name: 'certificates', deadlineMs: closeDeadlineMs, run: () => ingestPort[Symbol.asyncDispose]() },
      { name: 'background work', deadlineMs: closeDeadlineMs, run: () => background },
    );
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  }

  logger.info({ in_flight: ingest.recordsInFlight }, 'draining');
  const clean = await drain(steps, logger);
  for (const port of ports) port.destroy();
  logger.info({ clean }, 'stopped');
  await telemetry[Symbol.asyncDispose]();
  if (!clean) throw new Failure('stopped, but not everything in time: see the log');
}
