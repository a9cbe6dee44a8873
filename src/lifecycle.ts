import { constants } from 'node:os';

const stopSignals = ['SIGTERM', 'SIGINT'] as const;

export type SignalTrap = Disposable & {
  /** Aborted by the first SIGTERM or SIGINT; the reason is the signal's name. */
  readonly signal: AbortSignal;
  /**
   * Calls `listener` at each SIGHUP, which asks a service to read its files again. Until somebody listens, SIGHUP ends the
   * process, as it should where a terminal closes on a command that runs once. A service without such files listens too.
   */
  onReload(listener: () => void): Disposable;
};

/**
 * The first SIGTERM or SIGINT asks for an orderly stop. A second of either ends the process at once, with the exit code
 * that a shell gives for the signal: 143 and 130.
 */
export function trapSignals(): SignalTrap {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) process.exit(128 + constants.signals[name]);
    controller.abort(name);
  };
  for (const name of stopSignals) process.on(name, onSignal);
  return {
    signal: controller.signal,
    onReload(listener) {
      const onHangup = () => listener();
      process.on('SIGHUP', onHangup);
      return { [Symbol.dispose]: () => void process.off('SIGHUP', onHangup) };
    },
    [Symbol.dispose]() {
      for (const name of stopSignals) process.off(name, onSignal);
    },
  };
}

export type DrainStep = {
  readonly name: string;
  /** Milliseconds after which the next step begins, whatever this one does. */
  readonly deadlineMs: number;
  /** @param signal aborted when the deadline has passed */
  readonly run: (signal: AbortSignal) => Promise<void>;
};

/** What the drain tells of itself; a pino logger is one. */
export type DrainLog = {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
};

/**
 * Runs the steps of an orderly stop one after the other. A step that fails or overruns its deadline is logged and
 * passed over, since those behind it still have something to save. Never rejects.
 * @returns whether every step ended well and in time
 */
export async function drain(steps: readonly DrainStep[], log: DrainLog): Promise<boolean> {
  let clean = true;
  for (const step of steps) {
    const startMs = performance.now();
    const outcome = await runStep(step);
    const fields = { step: step.name, elapsed_ms: Math.round(performance.now() - startMs) };
    if (outcome === 'done') {
      log.info(fields, 'drain step done');
      continue;
    }
    clean = false;
    if (outcome === 'late') log.error({ ...fields, deadline_ms: step.deadlineMs }, 'drain step overran its deadline');
    else log.error({ ...fields, error: outcome.error }, 'drain step failed');
  }
  return clean;
}

async function runStep({ deadlineMs, run }: DrainStep): Promise<'done' | 'late' | { readonly error: unknown }> {
  const controller = new AbortController();
  const late = Promise.withResolvers<'late'>();
  const timer = setTimeout(() => {
    late.resolve('late');
    controller.abort();
  }, deadlineMs);
  const done = Promise.try(run, controller.signal).then(
    () => 'done' as const,
    (error: unknown) => ({ error }),
  );
  try {
    return await Promise.race([done, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
