import { followGuide } from '../support/guide.ts';
import { say } from '../support/progress.ts';
import { assertHeads } from '../support/proof.ts';
import type { Site } from '../support/site.ts';

/** What a later release's `eds migrate` may leave: the schema expanded, and the mark of a version that this one does not know. */
const laterMigration = `
  BEGIN;
  ALTER TABLE devices ADD COLUMN later_release text;
  INSERT INTO schema_migrations (version, name, checksum) VALUES (9000, '9000_later_release.sql', 'of a later release');
  COMMIT`;

/** A later release has migrated and was rolled out; then it is taken back, and its schema stays. */
export async function rollBackAfterAMigration(site: Site): Promise<void> {
  const { namespace } = site;
  const primary = ['--selector=cnpg.io/instanceRole=primary', '--output=name'];
  const pod = (await namespace.kubectl('get', 'pods', ...primary)).trim();
  const before = site.values;
  await site.underLoadWithoutFailure(async (load) => {
    await namespace.kubectl(
      'exec',
      pod,
      '--container=postgres',
      '--',
      'psql',
      '--dbname=edgesentry',
      '--set=ON_ERROR_STOP=1',
      `--command=${laterMigration}`,
    );
    // The Jobs are other ones, so that the rollback brings back those of before, migrations among them.
    await site.upgrade({
      podAnnotations: { release: 'later' },
      jobResources: { requests: { cpu: '60m', memory: '128Mi' } },
    });
    await load.progress(1);
    say('  rolling back');
    await followGuide('rollback', namespace);
  });
  site.values = before;
  await assertHeads(site);
}
