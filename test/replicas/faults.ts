import type { EmbeddedPostgres } from '../../dev/embedded-postgres.ts';
import type { Choices } from './choices.ts';
import type { Fleet } from './fleet.ts';
import type { Journal } from './journal.ts';

/** What the devices must meet, so many times, before a fault is healed. */
const measures = {
  /** Records go on being acknowledged: some rounds of every device. */
  progress: { count: (journal: Journal) => journal.acknowledged, enough: 60 },
  /** Requests decide nothing: some of every device. */
  trouble: { count: (journal: Journal) => journal.troubles, enough: 20 },
  /** Requests are given up on which a replica still sits. */
  abandonment: { count: (journal: Journal) => journal.counts.late, enough: 4 },
};
type Measure = keyof typeof measures;

/** Something that fails. */
export type Fault = {
  readonly name: string;
  readonly healedAfter: Measure;
  /** Resolves once it is broken, with what mends it. */
  strike(): Promise<() => Promise<void>>;
};

export function replicaFaults(fleet: Fleet, choices: Choices): Fault[] {
  const killed = (name: string, howMany: number): Fault => ({
    name,
    healedAfter: howMany < fleet.size ? 'progress' : 'trouble',
    async strike() {
      const victims = choices.shuffled([...Array(fleet.size).keys()]).slice(0, howMany);
      await Promise.all(victims.map((index) => fleet.kill(index)));
      return async () => {
        await Promise.all(victims.map((index) => fleet.replace(index)));
      };
    },
  });
  return [
    killed('one replica killed', 1),
    killed('two replicas killed', 2),
    killed('all replicas killed', fleet.size),
    {
      // Its connections stay open and its memory grows old; when it goes on, it does so with what it was about to do.
      name: 'one replica stopped and continued',
      healedAfter: 'abandonment',
      async strike() {
        const pid = fleet.pid(choices.below(fleet.size));
        process.kill(pid, 'SIGSTOP');
        return async () => void process.kill(pid, 'SIGCONT');
      },
    },
  ];
}

export function postgresFaults(postgres: EmbeddedPostgres): Fault[] {
  return [
    {
      name: 'PostgreSQL restarted',
      healedAfter: 'trouble',
      async strike() {
        await postgres.stop();
        return () => postgres.start();
      },
    },
    {
      name: 'PostgreSQL killed',
      healedAfter: 'trouble',
      async strike() {
        await postgres.kill();
        return () => postgres.start();
      },
    },
  ];
}

export type Faults = {
  readonly faults: readonly Fault[];
  readonly choices: Choices;
  readonly journal: Journal;
  /** Whether another round begins after one is over. */
  readonly again: () => boolean;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
};

/** Every fault once a round, in an order of the seed's, each after some progress. Whatever happens, each is healed. */
export async function strikeAll({ faults, choices, journal, again, signal, log }: Faults): Promise<void> {
  const meet = (measure: Measure, when: string) => {
    const { count, enough } = measures[measure];
    const goal = count(journal) + enough;
    return journal.until(`${measure} ${when}`, () => count(journal) >= goal, signal);
  };
  do {
    for (const fault of choices.shuffled(faults)) {
      await meet('progress', `before: ${fault.name}`);
      const startMs = performance.now();
      const before = journal.acknowledged;
      const heal = await fault.strike();
      try {
        await meet(fault.healedAfter, `under: ${fault.name}`);
      } finally {
        await heal();
      }
      const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
      log(`${fault.name}: healed after ${seconds} s, ${journal.acknowledged - before} records acknowledged meanwhile`);
    }
  } while (again());
  await meet('progress', 'after the last fault');
}
