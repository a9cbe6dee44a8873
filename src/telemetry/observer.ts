import type { Observer, Sender, Stage, Unavailable } from '../ingest/ports.ts';
import type { RateLimited } from '../ingest/rate-limits.ts';
import type { Verdict } from '../ingest/verdict.ts';
import type { DeviceRecord } from '../record/record.ts';
import { type RefusalCode, type RejectionCode, refusals, type UnavailableCode } from '../record/rejection.ts';
import { logMessages, reasons } from './log-messages.ts';
import { LogThrottle } from './log-throttle.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';
import { ServerSpan } from './server-span.ts';

/** An outage fails every record; one line a second and kind tells of it, with the count of those held back. */
const repeatIntervalMs = 1000;

export type ObserverOptions = {
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Milliseconds; only differences count. */
  readonly now: () => number;
};

/** Shows what happens in metrics, log lines and spans. Each verdict has its line; repeated failures share one. */
export class TelemetryObserver implements Observer {
  readonly #metrics: Metrics;
  readonly #logger: Logger;
  readonly #throttle: LogThrottle;

  constructor({ metrics, logger, now }: ObserverOptions) {
    this.#metrics = metrics;
    this.#logger = logger;
    this.#throttle = new LogThrottle(repeatIntervalMs, now);
  }

  decided(verdict: Verdict, record: DeviceRecord, sender: Sender, decisionId: string): void {
    const fields = { ...recordFields(record), decision_id: decisionId };
    switch (verdict.status) {
      case 'accepted': {
        this.#metrics.accepted();
        const record_hash = verdict.recordHash.toString('hex');
        this.#logger.info({ ...fields, record_hash, ...senderFields(sender) }, logMessages.accepted);
        break;
      }
      case 'rejected': {
        const { code, identical } = verdict.rejection;
        this.#metrics.rejected(code);
        const why = { code, reason: reasons[code], identical };
        this.#logger.warn({ ...fields, ...why, ...senderFields(sender) }, logMessages.rejected[sender.transport]);
        break;
      }
      case 'unavailable':
        this.#undecided(verdict.code, record, sender);
    }
  }

  /**
   * A request that never became a record to judge: wrong route, malformed, not allowed, too large.
   * @param detail what the sender is told
   */
  requestRefused(code: RefusalCode, detail: string, sender: Sender): void {
    if (isRejection(code)) this.#metrics.rejected(code);
    else this.#metrics.unavailable(code);
    const suppressed = this.#throttle.admit(code);
    if (suppressed === undefined) return;
    const fields = { code, reason: reasons[code], detail, suppressed, ...senderFields(sender) };
    this.#logger.warn(fields, logMessages.requestRefused);
  }

  /** The line is the verdict's. */
  limited(limit: RateLimited['limit']): void {
    this.#metrics.rateLimited(limit);
  }

  /** A request, or a line of a batch, that was answered `rate_limited` before it was a record. */
  requestLimited(limit: RateLimited['limit'], sender: Sender): void {
    const code = 'rate_limited';
    this.#metrics.unavailable(code);
    this.#metrics.rateLimited(limit);
    const suppressed = this.#throttle.admit(`${code} ${limit}`);
    if (suppressed === undefined) return;
    const fields = { code, reason: reasons[code], limit, suppressed, ...senderFields(sender) };
    this.#logger.warn(fields, logMessages.requestRefused);
  }

  failed(error: Unavailable): void {
    const { component } = error;
    this.#metrics.failed(component);
    const suppressed = this.#throttle.admit(component);
    if (suppressed !== undefined) this.#logger.error({ component, error, suppressed }, logMessages.componentFailed);
  }

  stage(stage: Stage, startMs: number, endMs: number, { trace }: Sender): void {
    this.#metrics.stage(stage, (endMs - startMs) / 1000);
    if (trace instanceof ServerSpan) trace.stage(stage, startMs, endMs);
  }

  clockSkew(skewMs: number, flagged: boolean): void {
    this.#metrics.clockSkew(skewMs, flagged);
  }

  committed(rows: number, lostRuns: number): void {
    this.#metrics.committed(rows, lostRuns);
  }

  headLookup(hit: boolean): void {
    this.#metrics.headLookup(hit);
  }

  #undecided(code: UnavailableCode, record: DeviceRecord, sender: Sender): void {
    this.#metrics.unavailable(code);
    const suppressed = this.#throttle.admit(code);
    if (suppressed === undefined) return;
    const why = { code, reason: reasons[code], suppressed };
    this.#logger.warn({ ...recordFields(record), ...why, ...senderFields(sender) }, logMessages.undecided);
  }
}

function isRejection(code: RefusalCode): code is RejectionCode {
  return refusals[code].kind === 'rejected';
}

/** Either way `sequence` is written in digits; the logger takes several times as long over a bigint as over the line. */
function recordFields({ deviceId, sequence }: DeviceRecord) {
  return { device_id: deviceId, sequence: sequence <= Number.MAX_SAFE_INTEGER ? Number(sequence) : sequence };
}

function senderFields({ transport, address, trace }: Sender) {
  const ids = trace instanceof ServerSpan ? trace.ids : undefined;
  return { transport, source_address: address, ...ids };
}
