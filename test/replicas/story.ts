import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureDatabase } from '../../dev/database.ts';
import type { Environment } from '../../dev/eds.ts';
import { type EmbeddedPostgres, startPostgres } from '../../dev/embedded-postgres.ts';
import { DeviceRegistry } from '../../src/ledger/device-registry.ts';
import { migrate } from '../../src/ledger/migrate.ts';
import { openPool } from '../../src/ledger/pool.ts';
import type { SignatureScheme } from '../../src/record/signature.ts';
import { type Behaviour, batching, equivocating, oneByOne, pipelining } from './behaviour.ts';
import type { Choices } from './choices.ts';
import { Device } from './device.ts';
import { Fleet } from './fleet.ts';
import { Journal } from './journal.ts';
import { RoundRobin } from './round-robin.ts';
import type { FailingStore } from './stores.ts';

const database = 'edgesentry';
const replicaCount = 3;

export type Site = AsyncDisposable & {
  readonly fleet: Fleet;
  readonly postgres: EmbeddedPostgres;
  readonly store: FailingStore;
  readonly databaseUrl: string;
  /** As the replicas have it. */
  readonly settings: Environment;
};

/** PostgreSQL that keeps what it commits through a power cut, and three replicas over it and the store. */
export async function startSite(folder: string, store: FailingStore): Promise<Site> {
  await using opening = new AsyncDisposableStack();
  opening.use(store);
  const dataDirectory = join(folder, 'postgres');
  const postgres = opening.use(await startPostgres({ dataDirectory, durable: true, persistent: true }));
  await ensureDatabase(postgres.url(), database);
  const databaseUrl = postgres.url(database);
  await migrate({ databaseUrl });
  const settings = { DATABASE_URL: databaseUrl, EDS_LOG_LEVEL: 'warn', ...store.settings };
  const logs = join(folder, 'logs');
  await mkdir(logs);
  const fleet = opening.use(await Fleet.start(replicaCount, { settings, folder: logs }));
  const closing = opening.move();
  return { fleet, postgres, store, databaseUrl, settings, [Symbol.asyncDispose]: () => closing.disposeAsync() };
}

/** How many devices of each behaviour, and how often a request of theirs reaches two replicas at once. */
export type Cast = {
  readonly devices: readonly (readonly [name: string, count: number, behaviour: Behaviour])[];
  readonly doubledProbability: number;
};

const behavingDevices: Cast['devices'] = [
  ['one-by-one', 4, oneByOne],
  ['pipelining', 3, pipelining],
  ['batching', 3, batching],
];
/** On a network that keeps to one delivery. */
export const behaving: Cast = { devices: behavingDevices, doubledProbability: 0 };
export const everyone: Cast = {
  devices: [...behavingDevices, ['equivocating', 2, equivocating]],
  doubledProbability: 0.15,
};

/**
 * Sets the devices to work on the site while `act` goes on, then lets them finish what they have begun.
 * @param act given a signal that aborts when a device has been told something wrong
 * @returns what the devices were told
 */
export async function play(
  { fleet, databaseUrl }: Site,
  { devices, doubledProbability }: Cast,
  choices: Choices,
  act: (journal: Journal, signal: AbortSignal) => Promise<void>,
): Promise<Journal> {
  const journal = new Journal();
  using client = new RoundRobin(() => fleet.urls);
  const failed = new AbortController();
  const { signal } = failed;
  const actors = devices.flatMap(([name, count, behaviour]) =>
    Array.from({ length: count }, (_, index) => {
      const id = `${name}-${index}`;
      const scheme: SignatureScheme = index % 2 === 0 ? 'payload-v1' : 'record-v2';
      const of = { choices: choices.fork(id), journal, client, signal };
      return { behaviour, device: new Device({ id, scheme, doubledProbability, ...of }) };
    }),
  );
  await register(
    databaseUrl,
    actors.map(({ device }) => device),
  );
  const ending = new AbortController();
  const work = actors.map(({ device, behaviour }) => behaviour(device, journal, ending.signal));
  const worked = Promise.all(work).catch((error: unknown) => failed.abort(error));
  try {
    await act(journal, signal);
  } finally {
    ending.abort();
    await worked;
  }
  signal.throwIfAborted();
  return journal;
}

async function register(databaseUrl: string, devices: readonly Device[]): Promise<void> {
  const pool = openPool({ databaseUrl, connectionsMax: 1, applicationName: 'replicas test' }, () => {});
  try {
    const registry = new DeviceRegistry(pool);
    for (const { id, scheme, key } of devices) await registry.register(id, { scheme, publicKey: key.publicKey });
  } finally {
    await pool.end();
  }
}
