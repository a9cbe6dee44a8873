import { randomInt } from 'node:crypto';
import { Choices } from '../../replicas/choices.ts';
import type { Load } from '../support/load.ts';
import type { KubernetesObject } from '../support/namespace.ts';
import { say, until } from '../support/progress.ts';
import { assertNothingLost } from '../support/proof.ts';
import type { Site } from '../support/site.ts';

type Cluster = KubernetesObject & {
  readonly spec: { readonly instances: number };
  readonly status: { readonly currentPrimary: string; readonly readyInstances?: number };
};

const cluster = 'clusters.postgresql.cnpg.io';
const postgres = 'edgesentry-postgres';
/** An instance that was killed has to catch up with the others, from the beginning in the worst case. */
const recoveryDeadlineMs = 300_000;
const deletions = 4;
/** Of each device, while something is missing. */
const recordsEach = 10;

/** As when its node dies: no shutdown, no switchover. What was acknowledged is on a standby, which takes over. */
export async function killThePrimary(site: Site): Promise<void> {
  const { namespace, servers } = site;
  const before = await servers.untilReady();
  const { status } = await namespace.get<Cluster>(cluster, postgres);
  await site.underLoad(async (load) => {
    await namespace.kubectl('delete', 'pod', status.currentPrimary, '--grace-period=0', '--force');
    await until('another primary', async () => {
      const now = await namespace.get<Cluster>(cluster, postgres);
      return now.status.currentPrimary !== status.currentPrimary || undefined;
    });
    await load.progress(recordsEach);
  });
  await servers.assertSame(before);
  await recovered(site);
  await assertNothingLost(site);
}

/** All instances are fenced: there is no PostgreSQL. Readiness says so, and liveness restarts nobody for it. */
export async function loseAllOfPostgres(site: Site): Promise<void> {
  const { namespace, servers } = site;
  const before = await servers.untilReady();
  await site.underLoad(async (load) => {
    await namespace.kubectl('annotate', cluster, postgres, 'cnpg.io/fencedInstances=["*"]');
    try {
      await servers.untilNoneIsReady();
      await saidUnavailable(load);
    } finally {
      await namespace.kubectl('annotate', cluster, postgres, 'cnpg.io/fencedInstances-');
    }
    await servers.untilReady();
  });
  await servers.assertSame(before);
  await recovered(site);
  await assertNothingLost(site);
}

/**
 * Once readiness has turned it is the ingress that answers, for there is nobody behind it. What the replicas had before
 * that they answer themselves, as soon as they have given up waiting for the store.
 */
async function saidUnavailable(load: Load): Promise<void> {
  await until('a 503 of the service itself', async () => load.counts.unavailable > 0 || undefined);
}

async function recovered({ namespace }: Site): Promise<void> {
  const probe = async () => {
    const { spec, status } = await namespace.get<Cluster>(cluster, postgres);
    return status.readyInstances === spec.instances || undefined;
  };
  await until('all instances of PostgreSQL', probe, recoveryDeadlineMs);
}

/** Replicas go at random, in good order or at once; the devices send again what was not answered. */
export async function deleteReplicasAtRandom(site: Site): Promise<void> {
  const { namespace, servers } = site;
  const seed = process.env.EDS_LADDER_SEED ?? String(randomInt(2 ** 32));
  say(`  EDS_LADDER_SEED=${seed}`);
  const choices = new Choices(seed);
  await site.underLoad(async (load) => {
    for (let deletion = 0; deletion < deletions; deletion++) {
      const { metadata } = choices.pick(await servers.untilReady());
      const force = choices.chance(0.5) ? ['--grace-period=0', '--force'] : [];
      say(`  delete ${metadata.name} ${force.join(' ')}`);
      await namespace.kubectl('delete', 'pod', metadata.name, '--wait=false', ...force);
      await load.progress(recordsEach);
    }
    await servers.untilReady();
  });
  await assertNothingLost(site);
}

export async function loseTheObjectStore(site: Site): Promise<void> {
  const { namespace, servers } = site;
  const before = await servers.untilReady();
  const minio = 'statefulset/edgesentry-minio';
  await site.underLoad(async (load) => {
    await namespace.kubectl('scale', minio, '--replicas=0');
    try {
      await servers.untilNoneIsReady();
      await saidUnavailable(load);
    } finally {
      await namespace.kubectl('scale', minio, '--replicas=1');
    }
    await servers.untilReady();
  });
  await servers.assertSame(before);
  await assertNothingLost(site);
}
