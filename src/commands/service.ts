import { setTimeout as sleep } from 'node:timers/promises';
import type { InitialDevice } from '../config/parsers.ts';
import type { ServeConfig } from '../config.ts';
import { Ingest } from '../ingest/ingest.ts';
import { RateLimits } from '../ingest/rate-limits.ts';
import { PostgresDeviceDirectory } from '../ledger/device-directory.ts';
import { DeviceRegistry, isOutage } from '../ledger/device-registry.ts';
import { PostgresLedger } from '../ledger/ledger.ts';
import { connectionOptions, openPool } from '../ledger/pool.ts';
import type { Environment } from '../telemetry/tracing.ts';
import { Failure } from './command.ts';
import { openPayloadArchive } from './store-options.ts';
import { systemClock } from './system-clock.ts';
import { openTelemetry } from './telemetry.ts';

const registerRetryMs = 1_000;

/** Admission over its adapters, for whatever transport. */
export async function openService(
  config: Pick<ServeConfig, 'ledger' | 'payloads' | 'objectRefScope' | 'limits' | 'clockSkewMaxMs' | 'logLevel'>,
  env: Environment,
  version: string,
) {
  const telemetry = await openTelemetry(config.logLevel, env, version);
  const { logger, metrics, observer } = telemetry;
  const { databaseUrl, poolConnectionsMax: connectionsMax } = config.ledger;
  const postgres = { databaseUrl, applicationName: 'edgesentry' };
  const pool = openPool({ ...postgres, connectionsMax }, (error) => logger.warn({ error }, 'idle connection lost'));
  metrics.watchPool('ledger', pool);
  const archive = await openPayloadArchive(config.payloads);
  const devices = new PostgresDeviceDirectory({
    pool,
    listenerConfig: connectionOptions({ ...postgres, applicationName: 'edgesentry listener' }),
    clock: systemClock,
    onError: (error) => logger.warn({ error }, 'device registry not followed'),
  });
  const limits = new RateLimits({ ...config.limits, now: () => performance.now() });
  const ingest = new Ingest({
    ledger: new PostgresLedger(pool),
    payloadStore: archive,
    devices,
    observer,
    clock: systemClock,
    objectRefScope: config.objectRefScope,
    limits,
    bounds: { clockSkewMaxMs: config.clockSkewMaxMs },
  });
  metrics.watchIngest(ingest);

  return {
    telemetry,
    pool,
    archive,
    ingest,
    limits,

    /** Waits for Postgres and its schema as long as `signal` allows. @throws Failure when a device cannot be registered */
    async registerDevices(initial: readonly InitialDevice[], signal: AbortSignal): Promise<void> {
      const registry = new DeviceRegistry(pool, 'eds serve');
      for (const { id, key } of initial) {
        while (!signal.aborted) {
          try {
            await registry.register(id, key);
            break;
          } catch (error) {
            if (!isOutage(error)) throw new Failure(`--device: ${(error as Error).message}`);
            logger.warn({ device_id: id, error }, 'device not registered yet');
            await sleep(registerRetryMs, undefined, { signal }).catch(() => {});
          }
        }
      }
    },

    /** Closes what admission needs, when nothing is in flight any more. */
    async close(): Promise<void> {
      await devices[Symbol.asyncDispose]();
      await pool.end();
      await archive[Symbol.asyncDispose]();
    },
  };
}
