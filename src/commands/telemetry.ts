import type { LogLevel } from '../config.ts';
import { openLogger } from '../telemetry/logger.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { TelemetryObserver } from '../telemetry/observer.ts';
import { RequestTelemetry } from '../telemetry/request-observer.ts';
import { type Environment, startTracing } from '../telemetry/tracing.ts';
import { systemClock } from './system-clock.ts';

const standardOutput = 1;

export type Telemetry = Awaited<ReturnType<typeof openTelemetry>>;

/** Metrics, log and traces of one process, and the observers that feed them. */
export async function openTelemetry(level: LogLevel, env: Environment, version: string) {
  const metrics = createMetrics(version);
  const logging = openLogger({ level, fd: standardOutput, onDropped: () => metrics.logLineDropped() });
  const { logger } = logging;
  const tracing = await startTracing(env, version, logger);
  const observer = new TelemetryObserver({ metrics, logger, now: systemClock.now });
  return {
    metrics,
    logger,
    observer,
    requestObserver: new RequestTelemetry(metrics, observer),
    /** Last of all: what closing had to say is in it. */
    async [Symbol.asyncDispose](): Promise<void> {
      await tracing[Symbol.asyncDispose]();
      await logging[Symbol.asyncDispose]();
    },
  };
}
