import { setImmediate as turn } from 'node:timers/promises';
import { runSchedule, type Variant } from './schedule.ts';
import type { Counters } from './wire.ts';

export type SimulateOptions = {
  readonly firstSeed: number;
  readonly schedules: number;
  /** Added to. */
  readonly counters: Counters;
  readonly variant?: Variant;
  readonly progress?: (done: number) => void;
};

export type Failure = { readonly seed: number; readonly faults: readonly string[] };

/** Plays the schedules of consecutive seeds. Answers with the first that violates something, undefined when none does. */
export async function simulate(options: SimulateOptions): Promise<Failure | undefined> {
  const unhandled: unknown[] = [];
  const note = (error: unknown) => unhandled.push(error);
  process.on('unhandledRejection', note);
  try {
    for (let done = 0; done < options.schedules; done++) {
      const seed = options.firstSeed + done;
      const faults = await runSchedule(seed, options.counters, options.variant);
      // Node tells of unhandled rejections between two turns.
      await turn();
      faults.push(...unhandled.map((error) => `unhandled rejection: ${error}`));
      if (faults.length > 0) return { seed, faults };
      options.progress?.(done + 1);
    }
    return undefined;
  } finally {
    process.off('unhandledRejection', note);
  }
}

export const replayCommand = (seed: number) => `npm run simulate -- --only ${seed} --trace`;
