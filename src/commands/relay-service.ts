import type { RequestListener } from 'node:http';
import packageJson from '../../package.json' with { type: 'json' };
import type { RelayConfig } from '../config.ts';
import { Backoff } from '../device/backoff.ts';
import { IngestClient } from '../device/ingest-client.ts';
import { RateLimits } from '../ingest/rate-limits.ts';
import { CentreHeads } from '../relay/centre-heads.ts';
import { ChainLinks } from '../relay/chain-links.ts';
import { ChainStart } from '../relay/chain-start.ts';
import { ForwardQueue } from '../relay/forward-queue.ts';
import { Forwarder, type ForwardObserver } from '../relay/forwarder.ts';
import { openRelayDatabase, RelayDatabaseError } from '../relay/relay-database.ts';
import { keepDevices, RelayDevices } from '../relay/relay-devices.ts';
import { RelayIngest } from '../relay/relay-ingest.ts';
import { heldPayloads, RelayLedger } from '../relay/relay-ledger.ts';
import { createRelayMetrics } from '../relay/relay-metrics.ts';
import { type RelayStatus, relayStatus } from '../relay/relay-status.ts';
import type { Logger } from '../telemetry/logger.ts';
import { Failure, type Io } from './command.ts';
import { systemClock } from './system-clock.ts';
import { openTelemetry } from './telemetry.ts';

/** A device waits for its answer while its head is asked for at the centre. */
const headDeadlineMs = 2_000;
const statusRoute = '/relay/status';

/** Admission over the queue of a site, and what empties the queue. @throws Failure when the database or a device will not do */
export async function openRelay(config: RelayConfig, { env, signal }: Pick<Io, 'env' | 'signal'>) {
  const { queueBytesMax, upstream: url } = config;
  const database = openDatabase(config);
  const telemetry = await openTelemetry(config.logLevel, env, packageJson.version);
  const { logger, metrics, observer } = telemetry;
  const { now } = systemClock;

  const links = new ChainLinks(database);
  const queue = new ForwardQueue({ database, links, now });
  const centre = new CentreHeads({
    ask: (deviceId) => {
      const deadline = AbortSignal.any([signal, AbortSignal.timeout(headDeadlineMs)]);
      return new IngestClient({ url, signal: deadline }).readHead(deviceId);
    },
    now: () => performance.now(),
    onError: (error) => logger.warn({ error }, 'head of the centre not read'),
  });
  const chainStart = new ChainStart({ links, queue, centre });
  const devices = new RelayDevices(database, chainStart);
  const limits = new RateLimits({ ...config.limits, now: () => performance.now() });
  const ingest = new RelayIngest(
    {
      ledger: new RelayLedger({ database, links, queue, chainStart, queueBytesMax, now }),
      payloadStore: heldPayloads,
      devices,
      observer,
      clock: systemClock,
      objectRefScope: config.objectRefScope,
      limits,
      bounds: { clockSkewMaxMs: config.clockSkewMaxMs },
    },
    chainStart,
  );
  const forwarder = new Forwarder({
    queue,
    client: new IngestClient({ url, signal }),
    backoff: new Backoff({ attempts: Infinity, signal }),
    observer: forwardLog(logger),
    now,
    signal,
  });
  const status = () => relayStatus({ queue, forwarder, queueBytesMax, nowMs: now() });
  const forwardMetrics = createRelayMetrics(status);
  metrics.watchIngest(ingest);
  logger.info({ devices: devices.count, waiting: queue.figures().records }, 'relay database opened');

  return {
    telemetry,
    ingest,
    limits,
    forwarder,
    status,
    metrics: {
      contentType: metrics.contentType,
      metrics: async () => (await metrics.metrics()) + (await forwardMetrics()),
    },
    extendOps: withStatus(status),
    close: async () => database.close(),
  };
}

function openDatabase({ dataDirectory, devices }: RelayConfig) {
  try {
    const database = openRelayDatabase(dataDirectory);
    keepDevices(database, devices);
    return database;
  } catch (error) {
    if (error instanceof RelayDatabaseError) throw new Failure(error.message);
    if (error instanceof RangeError) throw new Failure(`--device: ${error.message}`);
    throw error;
  }
}

function forwardLog(logger: Logger): ForwardObserver {
  return {
    interrupted: (error) => logger.warn({ error }, 'forwarding interrupted'),
    resumed: () => logger.info('forwarding resumed'),
    refused: ({ queued, code, error }) => {
      const { deviceId, sequence } = queued.envelope.record;
      logger.error({ device_id: deviceId, sequence, code, detail: error }, 'record refused by the centre, device held');
    },
  };
}

/** `GET /relay/status` in front of the routes of every operations port. */
function withStatus(status: () => RelayStatus) {
  return (ops: RequestListener): RequestListener =>
    (request, response) => {
      if (request.method !== 'GET' || request.url !== statusRoute) return ops(request, response);
      const body = JSON.stringify(status());
      response.writeHead(200, { 'Content-Type': 'application/json; charset=utf-8', 'Cache-Control': 'no-store' });
      response.end(body);
    };
}
