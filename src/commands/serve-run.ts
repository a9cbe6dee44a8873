import { setTimeout as sleep } from 'node:timers/promises';
import packageJson from '../../package.json' with { type: 'json' };
import type { ServeConfig, TlsConfig } from '../config.ts';
import type { Io } from './command.ts';

const upkeepIntervalMs = 24 * 60 * 60 * 1000;
const upkeepRetryMs = 60 * 1000;

/** The composition root: opens everything, waits for the signal, closes everything. */
export async function runServe(config: ServeConfig & { readonly tls?: TlsConfig }, io: Io): Promise<void> {
  // Before anything is loaded: a hangup must not end a service, whether there are files to read again yet or not.
  using _hangup = io.onReload?.(() => {});
  const { openService } = await import('./service.ts');
  const { serveHttp } = await import('./http-service.ts');
  const { checkLedger, ensureLogPartitions } = await import('../ledger/upkeep.ts');

  const service = await openService(config, io.env, packageJson.version);
  const { telemetry, pool, archive, ingest, limits } = service;
  const onError = (error: unknown) => telemetry.logger.error({ error }, 'unexpected failure');
  await serveHttp(
    {
      config,
      tls: config.tls,
      telemetry,
      ingest,
      limits,
      checks: [
        { name: 'ledger', check: () => checkLedger(pool) },
        { name: 'payload_store', check: () => archive.check() },
      ],
      metrics: telemetry.metrics,
      prepare: async () => {
        await service.registerDevices(config.devices, io.signal);
        // Before the first verdict: a row that no month takes would keep its month from ever getting a partition.
        if (!io.signal.aborted) await ensureLogPartitions(pool).catch(onError);
      },
      background: () => keepPartitions(() => ensureLogPartitions(pool), io.signal, onError),
      close: () => service.close(),
    },
    io,
  );
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
    await sleep(done ? upkeepIntervalMs : upkeepRetryMs, undefined, { signal }).catch(() => {});
  }
}
