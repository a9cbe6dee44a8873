/** What the chart refuses to render, and what it says. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { helmMissing, render } from './chart/helm.ts';

type Refusal = { readonly args: readonly string[]; readonly without?: string; readonly says: RegExp };
const set = (...values: string[]) => values.flatMap((value) => ['--set', value]);
const refusals: Record<string, Refusal> = {
  'CloudNativePG is missing': {
    args: [],
    without: 'postgresql.cnpg.io/v1/DatabaseRole',
    says: /Install the CloudNativePG operator/,
  },
  'the backup plugin is missing': {
    args: ['ci:keda'],
    without: 'barmancloud.cnpg.io/v1/ObjectStore',
    says: /Install the barman-cloud plugin/,
  },
  'KEDA is missing': { args: ['ci:keda'], without: 'keda.sh/v1alpha1/ScaledObject', says: /Install KEDA/ },
  'cert-manager is missing': {
    args: ['ci:ingress'],
    without: 'cert-manager.io/v1/Certificate',
    says: /Install cert-manager/,
  },
  'the Gateway API is missing': {
    args: ['ci:gateway'],
    without: 'gateway.networking.k8s.io/v1/HTTPRoute',
    says: /Install the Gateway API/,
  },
  'no standby can confirm': { args: set('postgresql.instances=1'), says: /no commit could ever be confirmed/ },
  'PostgreSQL has too few connections': {
    args: set('replicas=20'),
    says: /21 pods .* = 111 connections, but postgresql\.maxConnections is 100/,
  },
  'the autoscaler could take too many connections': {
    args: ['ci:autoscaling', ...set('autoscaling.maxReplicas=40')],
    says: /41 pods/,
  },
  'requests would be cut off by a longer drain': {
    args: set('ingest.drainSeconds=60'),
    says: /preStopSeconds \+ ingest\.drainSeconds \+ 12 = 77/,
  },
  'the grace period is too short': {
    args: set('terminationGracePeriodSeconds=30'),
    says: /terminationGracePeriodSeconds/,
  },
  'memory is too small': { args: set('resources.limits.memory=128Mi'), says: /resources\.limits\.memory is 128Mi/ },
  'two autoscalers': { args: ['ci:keda', ...set('autoscaling.enabled=true')], says: /Choose one/ },
  'plain HTTP through an ingress': { args: set('ingress.enabled=true'), says: /plain HTTP through the ingress/ },
  'an Ingress that would end TLS': {
    args: ['ci:passthrough-ingress', ...set('ingress.annotations=null')],
    says: /passes TLS through only by an annotation/,
  },
  'objects that expire while locked': { args: set('objectStore.init.expireDays=30'), says: /locked for 365 days/ },
  'a misspelled key': { args: set('replicaz=3'), says: /replicaz/ },
  'a misspelled key further in': { args: set('postgresql.storage.sise=1Gi'), says: /sise/ },
  'a mode that does not exist': { args: set('tls.mode=edge'), says: /tls\/mode/ },
  'an ingress whose proxies are not trusted': {
    args: set('tls.mode=ingress', 'host=a.example'),
    says: /trustedProxies/,
  },
  'TLS in the pods without a certificate': {
    args: set('tls.mode=passthrough', 'host=a.example'),
    says: /existingSecret|certManager/,
  },
  'client certificates that end at the ingress': {
    args: ['ci:ingress', ...set('tls.clientAuth=required')],
    says: /tls\/mode|passthrough/,
  },
  'an external database without its Secret': { args: set('postgresql.mode=external'), says: /existingSecret/ },
  'a backup to nowhere': { args: set('postgresql.backup.enabled=true'), says: /destinationPath/ },
  'a retention without a lock': { args: set('objectStore.init.objectLock=false'), says: /retentionDays/ },
  'a device without a key': { args: set('devices[0].id=lift-01'), says: /keys/ },
  'a memory limit in a form that no heap follows from': { args: set('resources.limits.memory=0.5G'), says: /memory/ },
};

for (const [what, { args, without, says }] of Object.entries(refusals)) {
  test(`refused before anything is applied: ${what}`, { skip: helmMissing }, () => {
    const { ok, error } = render(args, without === undefined ? [] : [without]);
    assert.equal(ok, false);
    assert.match(error, says);
  });
}
