import assert from 'node:assert/strict';
import { followGuide } from '../support/guide.ts';
import { servedSerial } from '../support/ingress-client.ts';
import { restartsOf } from '../support/pods.ts';
import { say, until } from '../support/progress.ts';
import { assertHeads } from '../support/proof.ts';
import { type Site, tlsSecret } from '../support/site.ts';

const gatewayName = 'ladder';
/** More than there are replicas: each balancer has its own way of going round. */
const handshakes = 12;

/** TLS ends in the pods from now on, behind a Gateway that passes it through. */
export async function switchToPassthrough(site: Site): Promise<void> {
  const { className, port } = site.settings.gateway;
  const tls = { mode: 'Passthrough' };
  const listener = { name: 'devices', hostname: site.endpoint.host, port, protocol: 'TLS', tls };
  await site.namespace.apply({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: gatewayName },
    spec: { gatewayClassName: className, listeners: [listener] },
  });
  await site.upgrade({
    tls: { mode: 'passthrough', existingSecret: tlsSecret },
    ingress: { enabled: false },
    gateway: { enabled: true, parentRefs: [{ name: gatewayName }] },
  });
  await assertHeads(site);
}

/** No pod is touched: kubelet brings the changed Secret, and each replica takes it up. */
export async function rotateUnderLoad(site: Site): Promise<void> {
  const { servers, endpoint } = site;
  const before = await servers.untilReady();
  const replaced = await servedSerial(endpoint);
  await site.underLoadWithoutFailure(async (load) => {
    const { serial } = await site.renewCertificate();
    await until('every replica has taken the new certificate up', async () => {
      const swaps = before.map((pod) =>
        servers.metric(pod, 'edgesentry_tls_certificate_reload_total{result="swapped"}'),
      );
      return (await Promise.all(swaps)).every((count) => count > 0) || undefined;
    });
    await load.progress(1);
    assert.notEqual(serial, replaced);
    for (let handshake = 0; handshake < handshakes; handshake++) assert.equal(await servedSerial(endpoint), serial);
  });
  await servers.assertSame(before);
}

export async function restartUnderLoad(site: Site): Promise<void> {
  const before = new Set((await site.servers.untilReady()).map(({ metadata }) => metadata.uid));
  await site.underLoadWithoutFailure(async () => {
    await followGuide('restart', site.namespace);
  });
  const now = await site.servers.untilReady();
  assert.ok(
    now.every(({ metadata }) => !before.has(metadata.uid)),
    'a replica of before is still there',
  );
  await assertHeads(site);
}

/** Kubelet's address is refused when it connects, and its probe is content with that. */
export async function probesAreRefusedConnections({ servers }: Site): Promise<void> {
  for (const pod of await servers.untilReady()) {
    const series = 'edgesentry_connection_refused_total{reason="source_not_allowed"}';
    const refused = await until('kubelet has probed', async () => (await servers.metric(pod, series)) || undefined);
    say(`  ${pod.metadata.name} refused ${refused} connections of the node`);
    assert.equal(restartsOf(pod), 0);
  }
}
