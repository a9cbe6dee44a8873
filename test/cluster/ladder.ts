/**
 * The chart on a real cluster, from `helm install` to its removal, in a namespace of its own. It wants a cluster with the
 * CloudNativePG operator, a default StorageClass, an ingress controller, and a Gateway controller that passes TLS through.
 *
 *   KUBECONFIG           names it; without it nothing is done
 *   EDS_IMAGE            REPOSITORY:TAG, which the nodes have or can pull; edgesentry:dev
 *   EDS_INGRESS_ADDRESS  HOST:PORT where ingress and Gateway take TLS from here; 127.0.0.1:30443
 *   EDS_INGRESS_CLASS, EDS_GATEWAY_CLASS, EDS_GATEWAY_PORT   traefik, traefik, 8443
 *   EDS_LADDER_SEED      makes the random choices again, as a run has printed it
 */
import test, { type TestContext } from 'node:test';
import { uninstallAndReinstall } from './steps/adoption.ts';
import {
  probesAreRefusedConnections,
  restartUnderLoad,
  rotateUnderLoad,
  switchToPassthrough,
} from './steps/certificates.ts';
import {
  helmTest,
  installWithDefaults,
  lookAsTheGuideSays,
  openAnIngress,
  registerDevices,
  upgradeChangesNothing,
} from './steps/install.ts';
import { deleteReplicasAtRandom, killThePrimary, loseAllOfPostgres, loseTheObjectStore } from './steps/outages.ts';
import { rollBackAfterAMigration } from './steps/rollback.ts';
import { livenessAsksForNoMoreThanAConnection, recordsThroughTheIngress, upgradeUnderLoad } from './steps/traffic.ts';
import { diagnose } from './support/diagnosis.ts';
import { say } from './support/progress.ts';
import { clusterMissing, settingsFrom } from './support/settings.ts';
import { Site } from './support/site.ts';

type Step = (site: Site) => Promise<void>;

/** Each stands on the one before it. */
const rungs: readonly (readonly [title: string, step: Step])[] = [
  ['helm install without values ends in a service, where Pod Security restricted is enforced', installWithDefaults],
  ['helm test: healthy, a signed record in, its replay refused, its object locked', helmTest],
  ['a bare helm upgrade --install over it restarts nothing and runs no Job again', upgradeChangesNothing],
  ['devices are registered by values, and no replica restarts for them', registerDevices],
  ['devices, logs and the audit show as the guide says', lookAsTheGuideSays],
  ['an ingress by values: each device finds its chain through it', openAnIngress],
  ['records in through the ingress: each replica takes some, and the chains are whole', recordsThroughTheIngress],
  ['an upgrade under load costs no request', upgradeUnderLoad],
  ["liveness passes where kubelet's address may not send", livenessAsksForNoMoreThanAConnection],
  ['a rollback under load, after a migration, costs no request', rollBackAfterAMigration],
  ['the primary of PostgreSQL dies: no acknowledged record is lost, no replica restarts', killThePrimary],
  ['PostgreSQL is gone: readiness turns, liveness does not, and it goes on afterwards', loseAllOfPostgres],
  ['the object store is gone: 503, then it goes on, and the chains are whole', loseTheObjectStore],
  ['replicas deleted at random: no acknowledged record is lost', deleteReplicasAtRandom],
  ['TLS in the pods, passed through by a Gateway', switchToPassthrough],
  ['a renewed certificate is taken up under load, without a restart and without a failed request', rotateUnderLoad],
  ['kubectl rollout restart under load costs no request', restartUnderLoad],
  ["liveness passes where kubelet's connections are refused", probesAreRefusedConnections],
  ['uninstalled, the data stays; installed again, every chain goes on where it ended', uninstallAndReinstall],
];

const settings = settingsFrom(process.env);

test('the chart on a cluster', { skip: settings === undefined && clusterMissing }, async (t) => {
  if (settings === undefined) return;
  await using site = await Site.create(settings);
  for (const [title, step] of rungs) if (!(await climbed(t, site, title, step))) return;
});

/** Whether the step succeeded: the next would only fail for it. */
async function climbed(t: TestContext, site: Site, title: string, step: Step): Promise<boolean> {
  let succeeded = false;
  await t.test(title, async () => {
    say(title);
    try {
      await step(site);
      succeeded = true;
    } catch (error) {
      await diagnose(site.namespace);
      throw error;
    }
  });
  return succeeded;
}
