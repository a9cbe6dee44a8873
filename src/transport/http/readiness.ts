/** One thing that the service cannot work without. `check` rejects when it is not there. */
export type HealthCheck = { readonly name: string; readonly check: () => Promise<void> };

export type CheckResult =
  | { readonly name: string; readonly status: 'ok' }
  | { readonly name: string; readonly status: 'failed'; readonly error: string };

export type ReadinessReport = {
  readonly status: 'ready' | 'not_ready' | 'draining';
  readonly checks: readonly CheckResult[];
};

export type ReadinessOptions = {
  readonly checks: readonly HealthCheck[];
  readonly draining: () => boolean;
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number;
  readonly checkTimeoutMs?: number;
};

/** Less than a probe's own timeout of three seconds, so that the probe learns what is missing. */
const defaultCheckTimeoutMs = 2000;
/** How long an answer is told again: a flood of probes costs one round of checks a second. */
const freshMs = 1000;

/** Whether this pod should get traffic. Rounds of checks are shared, and no check is ever run twice at once. */
export class Readiness {
  readonly #options: ReadinessOptions;
  readonly #now: () => number;
  readonly #unsettled = new Map<HealthCheck, Promise<CheckResult>>();
  #round: Promise<readonly CheckResult[]> | undefined;
  #freshUntilMs = Infinity;
  #wasReady = false;

  constructor(options: ReadinessOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  async report(): Promise<ReadinessReport> {
    if (this.#options.draining()) return { status: 'draining', checks: [] };
    if (this.#round === undefined || this.#now() >= this.#freshUntilMs) this.#round = this.#runChecks();
    const checks = await this.#round;
    if (this.#options.draining()) return { status: 'draining', checks };
    const ready = checks.every(({ status }) => status === 'ok');
    this.#wasReady ||= ready;
    return { status: ready ? 'ready' : 'not_ready', checks };
  }

  /** Whether the service has ever been ready; once it has, it has started for good. */
  async hasStarted(): Promise<boolean> {
    if (!this.#wasReady) await this.report();
    return this.#wasReady;
  }

  async #runChecks(): Promise<readonly CheckResult[]> {
    this.#freshUntilMs = Infinity;
    const results = await Promise.all(this.#options.checks.map((check) => this.#runCheck(check)));
    this.#freshUntilMs = this.#now() + freshMs;
    return results;
  }

  /** A check that has not settled since an earlier round is waited for, not run again. */
  async #runCheck(check: HealthCheck): Promise<CheckResult> {
    const { name } = check;
    const timeoutMs = this.#options.checkTimeoutMs ?? defaultCheckTimeoutMs;
    const running = this.#unsettled.get(check) ?? this.#start(check);
    const timedOut = Promise.withResolvers<CheckResult>();
    const timer = setTimeout(() => {
      timedOut.resolve({ name, status: 'failed', error: `no answer within ${timeoutMs} ms` });
    }, timeoutMs);
    try {
      return await Promise.race([running, timedOut.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  #start(check: HealthCheck): Promise<CheckResult> {
    const { name } = check;
    const running = Promise.try(check.check)
      .then(
        (): CheckResult => ({ name, status: 'ok' }),
        (error: unknown): CheckResult => ({ name, status: 'failed', error: messageOf(error) }),
      )
      .finally(() => this.#unsettled.delete(check));
    this.#unsettled.set(check, running);
    return running;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
