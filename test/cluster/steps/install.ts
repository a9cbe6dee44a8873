import assert from 'node:assert/strict';
import { followGuide } from '../support/guide.ts';
import type { KubernetesObject } from '../support/namespace.ts';
import { until } from '../support/progress.ts';
import { assertHeads } from '../support/proof.ts';
import { type Site, tlsSecret } from '../support/site.ts';

/** What a chart's upgrade could restart or run again. */
const workloads = 'deployments,statefulsets,cronjobs,jobs,clusters.postgresql.cnpg.io,pods';

type Job = KubernetesObject & { readonly status: { readonly succeeded?: number } };

/** With nothing said but which image, and in a namespace that enforces *restricted*. */
export async function installWithDefaults({ release, values, servers, namespace }: Site): Promise<void> {
  await release.install(values);
  await servers.untilReady();
  await until('every Job is done', async () => (await namespace.list<Job>('jobs')).every(isDone) || undefined);
}

const isDone = ({ status }: Job): boolean => (status.succeeded ?? 0) > 0;

/** The test pods look at the probes, send a signed record, have its replay refused, and find its object locked. */
export async function helmTest({ namespace }: Site): Promise<void> {
  const log = await followGuide('helm-test', namespace);
  for (const shown of [/: accepted,/, /refused as duplicate_record, identical/, /: locked until/])
    assert.match(log, shown);
}

export async function upgradeChangesNothing({ release, values, namespace }: Site): Promise<void> {
  const running = async () => {
    const objects = await namespace.list(workloads);
    return objects
      .map(({ kind, metadata: { name, uid, generation } }) => `${kind} ${name} ${uid} ${generation}`)
      .sort();
  };
  const before = await running();
  await release.upgradeOrInstall(values);
  assert.deepEqual(await running(), before);
}

/** The registry is the database's: the replicas learn of devices as they run. */
export async function registerDevices(site: Site): Promise<void> {
  const before = await site.servers.list();
  await site.upgrade({ devices: site.devices.map(({ registration }) => registration), audit: { enabled: true } });
  await site.servers.assertSame(before);
}

/** Whom the guide tells to look, and what they see. */
export async function lookAsTheGuideSays({ namespace, devices }: Site): Promise<void> {
  const list = await followGuide('device-list', namespace);
  for (const { id } of devices) assert.ok(list.includes(id), list);
  assert.match(await followGuide('observe', namespace), /"message":/);
  assert.match(await followGuide('audit', namespace), /"clean":true/);
}

/** A way in from here, and one from the node's own address. */
export async function openAnIngress(site: Site): Promise<void> {
  const { settings, endpoint } = site;
  await site.renewCertificate();
  await site.upgrade({
    host: endpoint.host,
    ingest: { trustedProxies: untrusted },
    tls: { mode: 'ingress', existingSecret: tlsSecret },
    ingress: { enabled: true, className: settings.ingress.className },
    extraObjects: [nodePort],
  });
  await assertHeads(site);
}

/**
 * Nobody's addresses (RFC 5737): the ingress speaks for itself. For what it would pass on as the sender's may be the node's
 * own address, and the ladder needs that to be another than the one that may send.
 */
export const untrusted = ['192.0.2.0/24'];

export const nodePortName = 'from-the-node';
/** A request that comes in at a node's port has the node's address when it reaches a pod, as kubelet's probes have. */
const nodePort = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: nodePortName },
  spec: {
    type: 'NodePort',
    externalTrafficPolicy: 'Cluster',
    selector: { 'app.kubernetes.io/instance': 'edgesentry', 'app.kubernetes.io/component': 'server' },
    ports: [{ port: 80, targetPort: 'ingest' }],
  },
};
