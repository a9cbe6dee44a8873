import { setTimeout as sleep } from 'node:timers/promises';
import packageJson from '../../package.json' with { type: 'json' };
import { type ServeConfig, serveConfig } from '../config.ts';
import { type CommandFactory, command, example, Failure, type Io, option } from './command.ts';
import { addStoreOptions, configOf } from './store-options.ts';

export const serve: CommandFactory = (io) => {
  const serving = addStoreOptions(command(io, 'serve', 'Take records over HTTP, verify them, keep them'))
    .addOption(option('--addr <host:port>', 'ingest port').default('0.0.0.0:8080'))
    .addOption(option('--ops-addr <host:port>', 'operations port: probes and metrics').default('0.0.0.0:9464'))
    .addOption(
      option('--allowed-sources <list>', 'addresses and CIDR blocks that may send, with commas').default('127.0.0.1'),
    )
    .addOption(option('--trusted-proxies <list>', 'addresses and CIDR blocks whose X-Forwarded-For counts').default(''))
    .addOption(option('--device <id=key>', 'register this device at the start: ID=PUBKEY_HEX').repeatable())
    .addOption(
      option('--object-ref-scope <scope>', "device: object_ref must lie under the device's id; any").default('device'),
    )
    .addOption(option('--payload-bytes-max <n>', 'the largest payload').default(String(1024 * 1024)))
    .addOption(option('--drain-seconds <n>', 'how long requests in flight may take after SIGTERM').default('25'))
    .addOption(option('--log-level <level>', 'trace, debug, info, warn, error or silent').default('info'))
    .addHelpText('after', example('eds serve --database-url postgres://localhost/edgesentry --store-dir ./payloads'))
    .action(() => run(configOf(serving, serveConfig), io));
  return serving;
};

/** What connections and background work may take to close once nothing is in flight. */
const closeDeadlineMs = 3_000;
const upkeepIntervalMs = 24 * 60 * 60 * 1000;
const retryPauseMs = 1_000;

/** The composition root: opens everything, waits for the signal, closes everything. */
async function run(config: ServeConfig, io: Io): Promise<void> {
  const { openService } = await import('./service.ts');
  const { drain } = await import('../lifecycle.ts');
  const { listen } = await import('../transport/http/server.ts');
  const { createOpsApp } = await import('../transport/http/ops-app.ts');
  const { httpApp } = await import('../transport/http/app.ts');
  const { checkLedger, ensureLogPartitions } = await import('../ledger/upkeep.ts');

  const service = await openService(config, io.env, packageJson.version);
  const { logger, pool, archive, ingest, metrics } = service;
  const onError = (error: unknown) => logger.error({ error }, 'unexpected failure');
  const draining = () => io.signal.aborted;
  const ops = await listen(
    createOpsApp({
      checks: [
        { name: 'ledger', check: () => checkLedger(pool) },
        { name: 'payload_store', check: () => archive.check() },
      ],
      draining,
      metrics,
      onError,
    }),
    config.opsAddress,
  );
  await service.registerDevices(config.devices, io.signal);
  const { allowedSources, trustedProxies, envelopeBytesMax } = config;
  const observer = service.requestObserver;
  const app = httpApp({ ingest, allowedSources, trustedProxies, observer, envelopeBytesMax, draining, onError });
  const ingestPort = await listen(app, config.ingestAddress);
  logger.info({ ingest: ingestPort.address, ops: ops.address, version: packageJson.version }, 'listening');

  const upkeep = keepPartitions(() => ensureLogPartitions(pool), io.signal, onError);
  await new Promise((resolve) => io.signal.addEventListener('abort', resolve, { once: true }));

  logger.info({ in_flight: ingest.recordsInFlight }, 'draining');
  const clean = await drain(
    [
      { name: 'requests in flight', deadlineMs: config.drainDeadlineMs, run: () => ingestPort.drain() },
      { name: 'background work', deadlineMs: closeDeadlineMs, run: () => upkeep },
      { name: 'stores', deadlineMs: closeDeadlineMs, run: () => service.close() },
      { name: 'operations port', deadlineMs: closeDeadlineMs, run: () => ops.drain() },
    ],
    logger,
  );
  for (const port of [ingestPort, ops]) port.destroy();
  logger.info({ clean }, 'stopped');
  await service.closeTelemetry();
  if (!clean) throw new Failure('stopped, but not everything in time: see the log');
}

/** At once, daily, and soon again after a failure. Ends with the signal. */
async function keepPartitions(
  ensure: () => Promise<void>,
  signal: AbortSignal,
  onError: (error: unknown) => void,
): Promise<void> {
  while (!signal.aborted) {
    const done = await ensure().then(
      () => true,
      (error: unknown) => onError(error) ?? false,
    );
    await sleep(done ? upkeepIntervalMs : retryPauseMs * 60, undefined, { signal }).catch(() => {});
  }
}
