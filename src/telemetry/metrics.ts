import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { type Component, type Stage, stages } from '../ingest/ports.ts';
import { type RefusalCode, type RejectionCode, refusals, type UnavailableCode } from '../record/rejection.ts';
import { metricTable } from './metric-names.ts';

/** Seconds. The shortest stage is a signature check of some 50 us, the longest wait that a caller sees is 10 s. */
const durationBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Up to the most rows of one statement. */
const commitRowsBuckets = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
/** Seconds, negative where the device is ahead. From clocks that agree to devices that were offline for weeks. */
const clockSkewBuckets = [-86_400, -3_600, -300, -60, -5, -1, 1, 5, 60, 300, 3_600, 86_400, 604_800];
/** Milliseconds between two samples of the event loop's delay: fine enough for a loop that must answer within 50 ms. */
const eventLoopSampleMs = 10;

const components = ['ledger', 'payload_store', 'internal'] as const satisfies readonly Component[];

/** The refusals that say that a chain does not go on as it should. A replay of the very same record is none. */
const chainBreaks: ReadonlySet<RejectionCode> = new Set(['invalid_sequence', 'invalid_previous_hash', 'equivocation']);

/** What `Ingest` tells of itself. */
export type IngestFigures = {
  readonly recordsInFlight: number;
  readonly payloadBytesInFlight: number;
  readonly commitsQueued: number;
};

/** What a pool of `pg` tells of itself. */
export type PoolFigures = { readonly totalCount: number; readonly idleCount: number; readonly waitingCount: number };

export type HttpObservation = {
  readonly method: string;
  /** The route's pattern, never the path: a path is the sender's to choose, and each one would be a time series. */
  readonly route: string;
  readonly statusCode: number;
  readonly seconds: number;
};

export type Metrics = ReturnType<typeof createMetrics>;

/**
 * The metrics of one process, on a registry of their own. Label values that are known beforehand start at zero, so that
 * the first event already is a rise for `rate()`. Starts prom-client's event-loop monitor.
 * @param version of this program, for the build info
 */
export function createMetrics(version: string) {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: eventLoopSampleMs });

  const accepted = new Counter({ ...metricTable.accepted, registers });
  const signatureFail = new Counter({ ...metricTable.signatureFail, registers });
  const chainBreak = new Counter({ ...metricTable.chainBreak, registers });
  const equivocation = new Counter({ ...metricTable.equivocation, registers });
  const fenceConflict = new Counter({ ...metricTable.fenceConflict, registers });
  const logLinesDropped = new Counter({ ...metricTable.logLinesDropped, registers });
  const rejected = labelled(registry, metricTable.rejected, 'reason', codesOfKind('rejected'));
  const unavailable = labelled(registry, metricTable.unavailable, 'code', codesOfKind('unavailable'));
  const errors = labelled(registry, metricTable.error, 'component', components);
  const headLookups = labelled(registry, metricTable.headLookup, 'result', ['hit', 'miss']);
  const rateLimited = labelled(registry, metricTable.rateLimited, 'limit', ['source', 'device', 'pod', 'refused']);
  const clockSkew = new Histogram({ ...metricTable.clockSkew, registers, buckets: clockSkewBuckets });
  const clockSkewFlagged = labelled(registry, metricTable.clockSkewFlagged, 'direction', ['ahead', 'behind']);
  const commitRows = new Histogram({ ...metricTable.commitRows, registers, buckets: commitRowsBuckets });
  const stageDuration = new Histogram({
    ...metricTable.stageDuration,
    registers,
    labelNames: ['stage'],
    buckets: durationBuckets,
  });
  const httpDuration = new Histogram({
    ...metricTable.httpDuration,
    registers,
    labelNames: ['method', 'route', 'status_code'],
    buckets: durationBuckets,
  });
  const stageChildren = {} as Record<Stage, { observe(seconds: number): void }>;
  for (const stage of stages) {
    stageDuration.zero({ stage });
    stageChildren[stage] = stageDuration.labels({ stage });
  }
  new Gauge({ ...metricTable.buildInfo, registers, labelNames: ['version', 'node'] }).set(
    { version, node: process.versions.node },
    1,
  );
  const watchPool = poolGauges(registry);

  return {
    contentType: registry.contentType,
    /** The exposition text for a scrape. */
    metrics: () => registry.metrics(),
    accepted: () => accepted.inc(),
    /** Any final refusal, of a record or of a request that never became one. */
    rejected(code: RejectionCode): void {
      rejected[code].inc();
      if (chainBreaks.has(code)) chainBreak.inc();
      if (code === 'equivocation') equivocation.inc();
      if (code === 'invalid_signature') signatureFail.inc();
    },
    unavailable: (code: UnavailableCode) => unavailable[code].inc(),
    failed: (component: Component) => errors[component].inc(),
    stage: (stage: Stage, seconds: number) => stageChildren[stage].observe(seconds),
    committed(rows: number, lostRuns: number): void {
      commitRows.observe(rows);
      fenceConflict.inc(lostRuns);
    },
    rateLimited: (limit: keyof typeof rateLimited) => rateLimited[limit].inc(),
    /** @param skewMs negative where the device is ahead; `flagged` when past the tolerance */
    clockSkew(skewMs: number, flagged: boolean): void {
      clockSkew.observe(skewMs / 1000);
      if (flagged) clockSkewFlagged[skewMs < 0 ? 'ahead' : 'behind'].inc();
    },
    headLookup: (hit: boolean) => headLookups[hit ? 'hit' : 'miss'].inc(),
    httpRequest({ method, route, statusCode, seconds }: HttpObservation): void {
      httpDuration.observe({ method, route, status_code: statusCode }, seconds);
    },
    logLineDropped: () => logLinesDropped.inc(),
    /** Shows the figures of `ingest` from now on. Call once. */
    watchIngest(ingest: IngestFigures): void {
      for (const figure of ['recordsInFlight', 'payloadBytesInFlight', 'commitsQueued'] as const) {
        readGauge(registry, metricTable[figure], () => ingest[figure]);
      }
    },
    /**
     * Shows the connections of the ingest port from now on; call once. Answers what counts a refused one.
     * @param reasons every reason that there is
     */
    watchConnections<R extends string>(reasons: readonly R[], open: () => number): (reason: R) => void {
      readGauge(registry, metricTable.connections, open);
      const refused = labelled(registry, metricTable.connectionRefused, 'reason', reasons);
      return (reason) => refused[reason].inc();
    },
    /** Shows the served certificate from now on; call once. Answers what counts a change of its files. */
    watchCertificate(expiresAtMs: () => number): (result: 'swapped' | 'refused') => void {
      readGauge(registry, metricTable.certificateExpiry, () => expiresAtMs() / 1000);
      const reloads = labelled(registry, metricTable.certificateReload, 'result', ['swapped', 'refused']);
      return (result) => reloads[result].inc();
    },
    /** Shows the figures of a connection pool under the label `pool`. */
    watchPool,
  };
}

function codesOfKind<K extends 'rejected' | 'unavailable'>(kind: K) {
  const codes = Object.keys(refusals) as RefusalCode[];
  return codes.filter((code) => refusals[code].kind === kind) as (K extends 'rejected'
    ? RejectionCode
    : UnavailableCode)[];
}

type Named = { readonly name: string; readonly help: string };
type Increment = { inc(): void };

/** A counter with one label whose values are all known, each at zero to begin with. */
function labelled<V extends string>(
  registry: Registry,
  named: Named,
  label: string,
  values: readonly V[],
): Record<V, Increment> {
  const counter = new Counter({ ...named, registers: [registry], labelNames: [label] });
  const children = {} as Record<V, Increment>;
  for (const value of values) {
    counter.inc({ [label]: value }, 0);
    children[value] = counter.labels({ [label]: value });
  }
  return children;
}

/** A gauge that is read when scraped. */
function readGauge(registry: Registry, named: Named, read: () => number): void {
  new Gauge({
    ...named,
    registers: [registry],
    collect() {
      this.set(read());
    },
  });
}

function poolGauges(registry: Registry): (name: string, pool: PoolFigures) => void {
  const pools = new Map<string, PoolFigures>();
  new Gauge({
    ...metricTable.poolConnections,
    registers: [registry],
    labelNames: ['pool', 'state'],
    collect() {
      for (const [pool, { totalCount, idleCount }] of pools) {
        this.set({ pool, state: 'busy' }, totalCount - idleCount);
        this.set({ pool, state: 'idle' }, idleCount);
      }
    },
  });
  new Gauge({
    ...metricTable.poolWaiting,
    registers: [registry],
    labelNames: ['pool'],
    collect() {
      for (const [pool, { waitingCount }] of pools) this.set({ pool }, waitingCount);
    },
  });
  return (name, pool) => {
    pools.set(name, pool);
  };
}
