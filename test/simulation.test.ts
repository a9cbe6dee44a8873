/**
 * Admission over in-memory ports, with crashes and failures before, during and after everything that it waits for.
 * EDS_SIMULATION_SEED repeats a run; `npm run simulate` plays more of them.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import test from 'node:test';
import { mutants } from './simulation/mutants.ts';
import { runSchedule } from './simulation/schedule.ts';
import { type Failure, replayCommand, simulate } from './simulation/simulate.ts';

const schedules = 3_000;
/** The subtlest mutant shows in one schedule out of about 250: one in a hundred million runs would miss it here. */
const mutantSchedulesMax = 5_000;

const firstSeed = Number(process.env.EDS_SIMULATION_SEED ?? randomInt(2 ** 32));
assert.ok(Number.isSafeInteger(firstSeed) && firstSeed >= 0, 'EDS_SIMULATION_SEED must be a whole number');
const names = 'I1 durable-before-answered, I2 one-chain, I3 fence-decides, I4 retry-is-safe, I5 nothing-overwritten';

const describe = ({ seed, faults }: Failure) => `${faults.join('\n')}\nreplay it: ${replayCommand(seed)}`;

test(`${names}: whatever crashes, fails or races (seed ${firstSeed})`, async (t) => {
  const counters = new Map<string, number>();
  const failure = await simulate({ firstSeed, schedules, counters });
  assert.equal(failure && describe(failure), undefined);
  // Schedules in which nothing went wrong would prove nothing.
  const seen = [
    'crashes',
    'lost runs',
    'fault commit late',
    'fault put late',
    'fault commit refused',
    'fault read after',
    'shared rows',
  ];
  for (const what of seen) assert.ok((counters.get(what) ?? 0) > 0, `no schedule had: ${what}`);
  t.diagnostic(`${schedules} schedules, ${counters.get('crashes')} crashes, ${counters.get('lost runs')} lost runs`);
});

test('a failing schedule can be replayed: the same seed gives the same interleaving', async () => {
  for (let seed = firstSeed; seed < firstSeed + 20; seed++) {
    const [first, second]: [string[], string[]] = [[], []];
    await runSchedule(seed, new Map(), undefined, (what) => first.push(what));
    await runSchedule(seed, new Map(), undefined, (what) => second.push(what));
    assert.deepEqual(second, first);
    assert.ok(first.length > 0);
  }
});

for (const { name, variant, violates } of mutants) {
  test(`the simulation notices when ${name}`, async () => {
    const failure = await simulate({ firstSeed, schedules: mutantSchedulesMax, counters: new Map(), variant });
    assert.ok(failure !== undefined, `not noticed in ${mutantSchedulesMax} schedules from seed ${firstSeed}`);
    assert.match(failure.faults.join('\n'), violates);
  });
}
