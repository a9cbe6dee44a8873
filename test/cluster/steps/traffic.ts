import assert from 'node:assert/strict';
import type { KubernetesObject } from '../support/namespace.ts';
import { restartsOf } from '../support/pods.ts';
import { say } from '../support/progress.ts';
import { assertNothingLost } from '../support/proof.ts';
import type { Site } from '../support/site.ts';
import { nodePortName, untrusted } from './install.ts';

/** Enough for a replica to be passed over by chance to be out of the question. */
const recordsEach = 40;
/** At least some of each replica's. */
const logLines = 200;

export async function recordsThroughTheIngress(site: Site): Promise<void> {
  await site.underLoadWithoutFailure((load) => load.progress(recordsEach));
  for (const pod of await site.servers.list()) {
    const accepted = await site.servers.metric(pod, 'edgesentry_ingest_accepted_total');
    say(`  ${pod.metadata.name} accepted ${accepted}`);
    assert.ok(accepted > 0, `${pod.metadata.name} took no record`);
  }
  await assertNothingLost(site);
}

/** From here on nobody may send but the ingress: the change reaches every replica, and no device notices. */
export async function upgradeUnderLoad(site: Site): Promise<void> {
  const sources = await sourceAddresses(site);
  say(`  allowed sources from now on: ${sources.join(', ')}`);
  const before = await site.servers.list();
  await site.underLoadWithoutFailure(() =>
    site.upgrade({ ingest: { allowedSources: sources, trustedProxies: untrusted } }),
  );
  const uids = new Set(before.map(({ metadata }) => metadata.uid));
  const now = await site.servers.untilReady();
  assert.ok(
    now.every(({ metadata }) => !uids.has(metadata.uid)),
    'a replica of before is still there',
  );
}

/** Where the records of the devices come from, as the service has logged it. */
async function sourceAddresses({ namespace }: Site): Promise<readonly string[]> {
  const args = ['--selector=app.kubernetes.io/component=server', `--tail=${logLines}`];
  const lines = (await namespace.kubectl('logs', ...args)).split('\n').filter((line) => line.startsWith('{'));
  const entries = lines.map((line): { message: string; source_address?: string } => JSON.parse(line));
  const addresses = entries.filter(({ message }) => message === 'record accepted').map((entry) => entry.source_address);
  return [...new Set(addresses.filter((address) => address !== undefined))];
}

type NodePort = KubernetesObject & { readonly spec: { readonly ports: readonly [{ readonly nodePort: number }] } };
type Node = KubernetesObject & {
  readonly status: { readonly addresses: readonly { readonly type: string; readonly address: string }[] };
};

export async function livenessAsksForNoMoreThanAConnection({ namespace, servers }: Site): Promise<void> {
  const { spec } = await namespace.get<NodePort>('service', nodePortName);
  const [node] = await namespace.list<Node>('nodes');
  const address = node?.status.addresses.find(({ type }) => type === 'InternalIP')?.address;
  const response = await fetch(`http://${address}:${spec.ports[0].nodePort}/api/v1/devices/ladder-1/head`);
  const body = await response.text();
  say(`  asked from the node: ${response.status} ${body}`);
  assert.equal(response.status, 403, body);
  for (const pod of await servers.untilReady()) assert.equal(restartsOf(pod), 0, `${pod.metadata.name} was restarted`);
}
