/**
 * Three `eds serve` processes on one PostgreSQL and one payload store, while any of them fails. A longer run:
 * EDS_REPLICAS_SECONDS=600. The same choices again: EDS_REPLICAS_SEED, as a run has printed it.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { Choices } from './replicas/choices.ts';
import { postgresFaults, replicaFaults, strikeAll } from './replicas/faults.ts';
import type { Journal } from './replicas/journal.ts';
import { fenceConflicts, prove } from './replicas/proof.ts';
import { directoryStore, type FailingStore, minioStore } from './replicas/stores.ts';
import { behaving, everyone, play, startSite } from './replicas/story.ts';
import { minioMissing } from './support/minio.ts';

/** Acknowledgements around each step of the rolling restart. */
const progressMin = 100;

test('whatever fails, every acknowledged record is there with its payload, in one chain: directory store', async (t) => {
  const folder = await temporaryFolder(t);
  await failAndProve(t, folder, await directoryStore(folder));
});

test('whatever fails, every acknowledged record is there with its payload, in one chain: MinIO', async (t) => {
  const store = await minioStore();
  if (store === undefined) return t.skip(minioMissing);
  await failAndProve(t, await temporaryFolder(t), store);
});

async function failAndProve(t: TestContext, folder: string, store: FailingStore): Promise<void> {
  await using site = await startSite(folder, store);
  const choices = seededChoices(t);
  const secondsMin = Number(process.env.EDS_REPLICAS_SECONDS ?? 0);
  const startMs = performance.now();
  const faults = [
    ...replicaFaults(site.fleet, choices.fork('replicas')),
    ...postgresFaults(site.postgres),
    ...store.outages,
  ];
  const again = () => performance.now() - startMs < secondsMin * 1000;
  const journal = await play(site, everyone, choices, (journal, signal) =>
    strikeAll({ faults, choices, journal, again, signal, log: (line) => t.diagnostic(line) }),
  );
  report(t, journal);
  await prove(site, journal);
  assert.deepEqual(await site.fleet.stopAll(), [0, 0, 0], 'SIGTERM ends every replica in good order');
}

test('a rolling restart costs a sender nothing: every request that a replica has taken is answered', async (t) => {
  const folder = await temporaryFolder(t);
  await using site = await startSite(folder, await directoryStore(folder));
  const { fleet } = site;
  const journal = await play(site, behaving, seededChoices(t), async (journal, signal) => {
    for (let index = 0; index < fleet.size; index++) {
      const goal = journal.acknowledged + progressMin;
      await journal.until('progress between restarts', () => journal.acknowledged >= goal, signal);
      assert.equal(await fleet.stop(index), 0);
      await fleet.replace(index);
    }
  });
  report(t, journal);
  const conflicts = await fenceConflicts(site);
  t.diagnostic(`fence conflicts of devices that behave, since each replica's restart: ${conflicts}`);
  assert.equal(journal.cutResponses, 0, 'a response was cut off');
  const lost = [...journal.chains.values()].flatMap((chain) => [...chain.values()].filter(({ answered }) => !answered));
  assert.equal(lost.length, 0, 'records were taken whose 202 never came');
  await prove(site, journal);
});

function seededChoices(t: TestContext): Choices {
  const seed = process.env.EDS_REPLICAS_SEED ?? String(randomInt(2 ** 32));
  t.diagnostic(`EDS_REPLICAS_SEED=${seed}`);
  return new Choices(seed);
}

function report(t: TestContext, journal: Journal): void {
  const { acknowledged, counts, cutResponses } = journal;
  t.diagnostic(`${acknowledged} records acknowledged, ${cutResponses} responses cut; ${JSON.stringify(counts)}`);
}

/** Holds the database, the payloads and the replicas' logs: kept when the test fails. */
async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'eds-replicas-'));
  t.after(async () => {
    // `passed` is in Node's documentation of TestContext, and missing from its types.
    if ((t as TestContext & { readonly passed: boolean }).passed) await rm(folder, { recursive: true });
    else t.diagnostic(`the stores and logs of this failed test are kept: ${folder}`);
  });
  return folder;
}
