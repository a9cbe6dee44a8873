/**
 * The simulation at length: `npm run simulate -- --schedules 100000 --seed 1`. Without a seed it draws one.
 * `--only SEED --trace` prints what happens in one schedule. Exit code 1 when a schedule violates something.
 */
import { parseArgs } from 'node:util';
import { runSchedule } from './schedule.ts';
import { type Failure, replayCommand, simulate } from './simulate.ts';
import type { Counters } from './wire.ts';

const progressEveryMs = 2_000;

const { values } = parseArgs({
  options: {
    schedules: { type: 'string', default: '100000' },
    seed: { type: 'string' },
    only: { type: 'string' },
    trace: { type: 'boolean', default: false },
  },
});

function integer(name: string, text: string): number {
  const value = Number(text);
  if (text !== '' && Number.isSafeInteger(value) && value >= 0) return value;
  console.error(`--${name} must be a whole number from 0 to ${Number.MAX_SAFE_INTEGER}, got '${text}'`);
  process.exit(2);
}

async function replay(seed: number, counters: Counters): Promise<Failure | undefined> {
  const trace = values.trace ? (what: string) => console.log(what) : undefined;
  const faults = await runSchedule(seed, counters, undefined, trace);
  return faults.length > 0 ? { seed, faults } : undefined;
}

async function playAll(firstSeed: number, schedules: number, counters: Counters): Promise<Failure | undefined> {
  console.log(`${schedules} schedules from seed ${firstSeed}`);
  const startMs = performance.now();
  let saidMs = startMs;
  const progress = (done: number) => {
    const nowMs = performance.now();
    if (done < schedules && nowMs - saidMs < progressEveryMs) return;
    saidMs = nowMs;
    console.log(`${done} schedules, ${Math.round((1000 * done) / (nowMs - startMs))}/s`);
  };
  return simulate({ firstSeed, schedules, counters, progress });
}

const counters: Counters = new Map();
const failure =
  values.only === undefined
    ? await playAll(
        integer('seed', values.seed ?? `${Math.floor(Math.random() * 2 ** 32)}`),
        integer('schedules', values.schedules),
        counters,
      )
    : await replay(integer('only', values.only), counters);
for (const what of [...counters.keys()].sort()) console.log(`${String(counters.get(what)).padStart(12)}  ${what}`);
if (failure === undefined) console.log('all invariants held');
else {
  console.log(
    `seed ${failure.seed} violates:\n  ${failure.faults.join('\n  ')}\nreplay it: ${replayCommand(failure.seed)}`,
  );
  process.exitCode = 1;
}
