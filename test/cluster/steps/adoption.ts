import assert from 'node:assert/strict';
import { until } from '../support/progress.ts';
import { assertHeads, assertNothingLost } from '../support/proof.ts';
import type { Site } from '../support/site.ts';

/** Where the records, the payloads and the keys to them are. */
const kept = 'clusters.postgresql.cnpg.io,persistentvolumeclaims';

/** The release goes and comes back: every chain goes on where it ended. */
export async function uninstallAndReinstall(site: Site): Promise<void> {
  const { namespace, release, servers } = site;
  const stores = async () =>
    (await namespace.list(kept)).map(({ kind, metadata }) => `${kind} ${metadata.name} ${metadata.uid}`);
  const before = await stores();
  await release.uninstall();
  await until('the replicas to go', async () => (await servers.list()).length === 0 || undefined);
  assert.deepEqual(await stores(), before, 'the stores are still there');
  await release.install(site.values);
  await servers.untilReady();
  assert.deepEqual(await stores(), before, 'and no others were made');
  await assertHeads(site);
  await site.underLoadWithoutFailure((load) => load.progress(1));
  await assertNothingLost(site);
}
