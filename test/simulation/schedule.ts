import { refusalRowsOfSource } from '../../src/ingest/refusal-log.ts';
import { Cluster } from './cluster.ts';
import { createFleet, devicesMax } from './device-model.ts';
import { FaultPlan } from './faults.ts';
import { ledgerFaults } from './ledger-check.ts';
import { MemoryLedger } from './memory-ledger.ts';
import { MemoryObjects } from './memory-objects.ts';
import { play } from './plan.ts';
import { Random } from './random.ts';
import { Registry } from './registry.ts';
import { ReplicaDirectory } from './replica.ts';
import { Scheduler } from './scheduler.ts';
import { type Counters, Network, type Trace } from './wire.ts';

/** Some fifty times what the longest schedules take: past it, something goes round in circles. */
const eventsMax = 200_000;

/** What replaces the ledger, the object store or a replica's memory of devices, to see whether the checks notice. */
export type Variant = {
  readonly Ledger: typeof MemoryLedger;
  readonly Objects: typeof MemoryObjects;
  readonly Directory: typeof ReplicaDirectory;
};
export const sound: Variant = { Ledger: MemoryLedger, Objects: MemoryObjects, Directory: ReplicaDirectory };

/** So that refusals share rows in a schedule of seconds. */
const scarceRows = { perSecond: 1, burst: 1 };

const fleet = createFleet();

/**
 * Plays the schedule of `seed` to its end and checks it.
 * @returns what was violated, nothing when all held
 */
export async function runSchedule(
  seed: number,
  counters: Counters,
  variant: Variant = sound,
  trace?: Trace,
): Promise<string[]> {
  const random = new Random(seed);
  const scheduler = new Scheduler();
  const stamped = trace && ((what: string) => trace(`${scheduler.nowMs.toFixed(3)} ${what}`));
  const network = new Network({ scheduler, random, faults: new FaultPlan(random), counters, trace: stamped });
  const registry = new Registry();
  const ledger = new variant.Ledger(registry, scheduler);
  const objects = new variant.Objects(scheduler);
  const devices = fleet.slice(0, random.integer(1, devicesMax));
  const cluster = new Cluster({
    network,
    ledger,
    objects,
    Directory: variant.Directory,
    replicas: random.integer(1, 4),
    deviceRate: random.chance(0.2) ? { perSecond: 20, burst: 3 } : undefined,
    layout: random.pick(['object', 'segment']),
    bounds: {
      headsMax: random.pick([1, 2, 100]),
      recordsInFlightMax: random.pick([3, 100, 100, 100]),
      payloadBytesInFlightMax: random.pick([60, 100_000, 100_000, 100_000]),
      predecessorWaitMs: random.pick([50, 1_000]),
      // The devices' clocks are that far behind, give or take some seconds.
      clockSkewMaxMs: random.pick([0, 1_000_000, 10_000_000]),
      refusalRows: random.pick([scarceRows, scarceRows, refusalRowsOfSource]),
    },
  });

  let over = false;
  void play(cluster, devices).then(() => {
    over = true;
  });
  if ((await scheduler.run(eventsMax)) === 'endless') return [...cluster.faults, `more than ${eventsMax} events`];
  if (!over) cluster.fault('liveness: a device waits for something that will not come');
  for (const fault of ledgerFaults(cluster)) cluster.fault(fault);
  for (const fault of leftovers(cluster)) cluster.fault(fault);
  return cluster.faults;
}

/** Liveness and I7: every record that a living replica took has been answered, and holds nothing any more. */
function leftovers({ attempts, replicas }: Cluster): string[] {
  const unanswered = attempts.filter(({ verdict, lost }) => verdict === undefined && !lost);
  const holding = replicas.filter(
    ({ ingest }) => ingest.recordsInFlight + ingest.payloadBytesInFlight + ingest.commitsQueued > 0,
  );
  return [
    ...unanswered.map(({ envelope: { record }, replica }) => {
      return `liveness: ${record.deviceId}:${record.sequence} was never answered by ${replica}`;
    }),
    ...holding.map(({ name }) => `I7: ${name} holds on to records that are answered`),
  ];
}
