import { context, DiagLogLevel, diag, propagation, trace } from '@opentelemetry/api';
import { logMessages } from './log-messages.ts';
import { LogThrottle } from './log-throttle.ts';
import type { Logger } from './logger.ts';

/** How long the last spans may take to leave at shutdown; a collector that is gone costs them, not the shutdown. */
export const tracingShutdownDeadlineMs = 2000;
/** The SDK reports every batch that it could not send. */
const reportIntervalMs = 10_000;

export type Environment = Readonly<Record<string, string | undefined>>;

/** Whether the standard OTEL_* variables ask for traces. */
export function tracingWanted(env: Environment): boolean {
  if (env.OTEL_SDK_DISABLED?.toLowerCase() === 'true' || env.OTEL_TRACES_EXPORTER === 'none') return false;
  return Boolean(env.OTEL_EXPORTER_OTLP_ENDPOINT || env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_TRACES_EXPORTER);
}

/**
 * Starts the OpenTelemetry SDK when its variables ask for it; without them it is not even loaded. Exporter, sampler,
 * propagators and batching follow the OTEL_* variables, which the SDK reads from the process itself. Spans are made by
 * hand in server-span.ts: nothing is patched. Disposing sends what is left, within tracingShutdownDeadlineMs;
 * after that a retry of the exporter may keep the event loop alive, so the process has to end by process.exit.
 * @param env the process environment
 */
export async function startTracing(
  env: Environment,
  serviceVersion: string,
  logger: Pick<Logger, 'warn'>,
): Promise<AsyncDisposable> {
  if (!tracingWanted(env)) return { [Symbol.asyncDispose]: async () => {} };
  const { NodeSDK, resources } = await import('@opentelemetry/sdk-node');
  const { defaultResource, envDetector, hostDetector, resourceFromAttributes } = resources;
  const sdk = new NodeSDK({
    // What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say is merged over this.
    resource: defaultResource().merge(
      resourceFromAttributes({ 'service.name': 'edgesentry', 'service.version': serviceVersion }),
    ),
    // Not the SDK's process detector: it sends the command line, which may hold a database URL or a key.
    ...(env.OTEL_NODE_RESOURCE_DETECTORS ? {} : { resourceDetectors: [envDetector, hostDetector] }),
    // By default the SDK would also send metrics and logs; ours go to the scrape and to standard output.
    ...(env.OTEL_METRICS_EXPORTER ? {} : { metricReaders: [] }),
    ...(env.OTEL_LOGS_EXPORTER ? {} : { logRecordProcessors: [] }),
  });
  diag.setLogger(diagLogger(logger), { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  sdk.start();
  return {
    async [Symbol.asyncDispose]() {
      const late = Promise.withResolvers<unknown>();
      const timer = setTimeout(() => {
        late.resolve(new Error(`not sent within ${tracingShutdownDeadlineMs} ms`));
      }, tracingShutdownDeadlineMs);
      const sent = sdk.shutdown().catch((error: unknown) => error);
      const error = await Promise.race([sent, late.promise]);
      clearTimeout(timer);
      if (error !== undefined) logger.warn({ error }, logMessages.spansLost);
      for (const api of [trace, propagation, context, diag]) api.disable();
    },
  };
}

/** What the SDK has to say goes to the log, at a bounded rate, whatever it is. */
function diagLogger(logger: Pick<Logger, 'warn'>) {
  const throttle = new LogThrottle(reportIntervalMs, () => performance.now());
  const report = (text: string) => {
    const suppressed = throttle.admit('');
    if (suppressed !== undefined) logger.warn({ error: new Error(text), suppressed }, logMessages.tracingProblem);
  };
  const ignore = () => {};
  return { error: report, warn: report, info: ignore, debug: ignore, verbose: ignore };
}
