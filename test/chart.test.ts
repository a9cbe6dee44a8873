/** The chart, as it renders. What it does on a cluster is for the cluster's tests. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { chart, ciValues, containers, helmMissing, type Manifest, manifests, one, pods, render } from './chart/helm.ts';
import { eds } from './support/command-line.ts';

const options = { skip: helmMissing };
const ciNames = ciValues.map((name) => name.replace('-values.yaml', ''));

for (const name of ciNames) {
  test(`${name}: lints, and renders the same each time`, options, () => {
    const lint = spawnSync('helm', ['lint', '--strict', chart, '--values', join(chart, 'ci', `${name}-values.yaml`)]);
    assert.equal(lint.status, 0, `${lint.stdout}`);
    const first = render([`ci:${name}`]);
    assert.ok(first.ok, first.error);
    assert.equal(first.text, render([`ci:${name}`]).text);
  });

  test(
    `${name}: every pod runs in a namespace that enforces the level "restricted", and holds no token`,
    options,
    () => {
      const all = manifests(`ci:${name}`);
      for (const pod of pods(all)) {
        const { runAsNonRoot, seccompProfile } = pod.spec.securityContext as Record<string, unknown>;
        assert.deepEqual(
          { runAsNonRoot, seccompProfile },
          { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
        );
        assert.equal(pod.spec.automountServiceAccountToken, false, pod.of);
        assert.equal(JSON.stringify(pod.spec).includes('hostPath'), false, pod.of);
        for (const container of containers(pod)) {
          assert.deepEqual(container.securityContext, {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          });
          const { requests = {}, limits = {} } = container.resources ?? {};
          assert.ok(requests.cpu && requests.memory && limits.memory, `${pod.of} has no requests`);
          assert.equal(limits.cpu, undefined, `${pod.of} would be throttled`);
        }
      }
      for (const account of all.filter(({ kind }) => kind === 'ServiceAccount'))
        assert.equal(account.automountServiceAccountToken, false);
    },
  );

  test(`${name}: every pod is under a NetworkPolicy, in and out`, options, () => {
    const all = manifests(`ci:${name}`);
    const policies = all.filter(({ kind }) => kind === 'NetworkPolicy');
    for (const pod of pods(all)) {
      const component = pod.labels['app.kubernetes.io/component'] ?? '';
      const policy = policies.find(({ spec }) => JSON.stringify(spec.podSelector).includes(`"${component}"`));
      assert.deepEqual(policy?.spec.policyTypes, ['Ingress', 'Egress'], `${pod.of} is under none`);
    }
  });

  test(`${name}: no Secret has data, and only the Job that makes keys may touch one`, options, () => {
    const all = manifests(`ci:${name}`);
    for (const secret of all.filter(({ kind }) => kind === 'Secret'))
      assert.equal(secret.data ?? secret.stringData, undefined);
    const rules = all
      .filter(({ kind }) => kind.endsWith('Role') && kind !== 'DatabaseRole')
      .flatMap(({ rules }) => rules);
    const minio = all.find(({ kind }) => kind === 'StatefulSet');
    const touched = {
      apiGroups: [''],
      resources: ['secrets'],
      resourceNames: [minio?.metadata.name],
      verbs: ['get', 'patch'],
    };
    assert.deepEqual(rules, minio ? [touched] : []);
  });

  test(`${name}: eds knows every command and flag that the pods start it with`, options, async () => {
    const commands = pods(manifests(`ci:${name}`))
      .flatMap(containers)
      .filter(({ command }) => command === undefined);
    for (const { args = [] } of commands) {
      const names = args.filter((arg) => !arg.startsWith('-'));
      const { exitCode, stdout: help } = await eds([...names, '--help']);
      assert.equal(exitCode, 0);
      for (const flag of args.filter((arg) => arg.startsWith('-')).map((arg) => arg.split('=')[0]))
        assert.match(help, new RegExp(`^ +(-., )?${flag}[ \\n]`, 'm'), `eds ${names.join(' ')}`);
    }
  });
}

test('templates call nothing that differs from one rendering to the next', () => {
  const templates = readdirSync(join(chart, 'templates'), { recursive: true, encoding: 'utf8' });
  for (const file of templates.filter((name) => /\.(yaml|tpl|txt)$/.test(name)))
    assert.doesNotMatch(
      readFileSync(join(chart, 'templates', file), 'utf8'),
      /\b(rand\w+|lookup|now|uuidv4|gen\w+Key)\b/,
    );
});

test('README.md is what helm-docs makes of values.yaml', { skip: helmDocsMissing() }, () => {
  const { stdout } = spawnSync('helm-docs', ['--chart-search-root', chart, '--dry-run'], { encoding: 'utf8' });
  assert.equal(stdout.trim(), readFileSync(join(chart, 'README.md'), 'utf8').trim());
});

test('a rollout keeps every replica, and a pod that stops has time for what it owes', options, () => {
  const { spec } = one(manifests(), 'Deployment');
  assert.deepEqual(spec.strategy.rollingUpdate, { maxSurge: 1, maxUnavailable: 0 });
  const [container] = spec.template.spec.containers;
  assert.equal(spec.template.spec.terminationGracePeriodSeconds, 45);
  assert.deepEqual(container.lifecycle.preStop, { sleep: { seconds: 5 } });
});

test('a database that is down takes pods out of service and restarts none', options, () => {
  const [container] = one(manifests(), 'Deployment').spec.template.spec.containers;
  assert.deepEqual(container.livenessProbe.tcpSocket, { port: 'ingest' });
  assert.deepEqual(container.readinessProbe.httpGet, { path: '/readyz', port: 'ops' });
  assert.deepEqual(container.startupProbe.httpGet, { path: '/startupz', port: 'ops' });
});

test("Node's heap is half of the memory limit", options, () => {
  const [container] = one(manifests('--set', 'resources.limits.memory=1Gi'), 'Deployment').spec.template.spec
    .containers;
  const { value } = container.env.find(({ name }: { name: string }) => name === 'NODE_OPTIONS');
  assert.match(value, /--max-old-space-size=512$/);
});

test('an autoscaler owns the number of replicas', options, () => {
  assert.equal(one(manifests('ci:autoscaling'), 'Deployment').spec.replicas, undefined);
  assert.equal(one(manifests('ci:keda'), 'Deployment').spec.replicas, undefined);
  assert.equal(one(manifests(), 'Deployment').spec.replicas, 3);
});

test('a single replica does not keep its node from being drained', options, () => {
  assert.equal(one(manifests(), 'PodDisruptionBudget').spec.unhealthyPodEvictionPolicy, 'AlwaysAllow');
  assert.deepEqual(
    manifests('ci:minimal').filter(({ kind }) => kind === 'PodDisruptionBudget'),
    [],
  );
});

test('the pods have the role that cannot change the past, and a certificate in place of a password', options, () => {
  const all = manifests();
  const [{ env }] = one(all, 'Deployment').spec.template.spec.containers;
  const { value } = env.find(({ name }: { name: string }) => name === 'DATABASE_URL');
  assert.match(value, /^postgres:\/\/edgesentry_service@field-edgesentry-postgres-rw\.audit\.svc.*sslmode=verify-full/);
  assert.equal(
    env.some(({ name }: { name: string }) => name === 'PGPASSWORD'),
    false,
  );
  const { spec } = one(all, 'DatabaseRole');
  assert.deepEqual([spec.name, spec.disablePassword, spec.superuser], ['edgesentry_service', true, undefined]);
});

test('a failover loses no acknowledged record, and an uninstall no data', options, () => {
  const all = manifests();
  const { spec, metadata } = one(all, 'Cluster');
  const synchronous = { method: 'any', number: 1, dataDurability: 'required', failoverQuorum: true };
  assert.deepEqual(spec.postgresql.synchronous, synchronous);
  assert.equal(spec.instances, 3);
  assert.equal(metadata.annotations?.['helm.sh/resource-policy'], 'keep');
  assert.equal(one(all, 'Secret').metadata.annotations?.['helm.sh/resource-policy'], 'keep');
  assert.equal(one(all, 'StatefulSet').spec.persistentVolumeClaimRetentionPolicy.whenDeleted, 'Retain');
});

test('certificates are mounted as whole Secrets, which the kubelet swaps when they change', options, () => {
  const { volumes = [], containers } = one(manifests('ci:passthrough'), 'Deployment').spec.template.spec;
  assert.equal(JSON.stringify(containers).includes('subPath'), false);
  const secrets = volumes.flatMap(({ secret }: { secret?: { secretName: string } }) => secret?.secretName ?? []);
  assert.deepEqual(secrets, ['field-edgesentry-tls', 'device-ca']);
});

const jobNames = (all: readonly Manifest[]) =>
  all.filter(({ kind }) => kind === 'Job').map(({ metadata }) => metadata.name);

test('a changed device list runs its Job again, and nothing else', options, () => {
  const before = jobNames(manifests('ci:ingress'));
  const after = jobNames(manifests('ci:ingress', '--set', 'devices[0].site=south tower'));
  assert.deepEqual(
    after.filter((name) => !before.includes(name)).map((name) => name.replace(/-[0-9a-f]{8}$/, '')),
    ['field-edgesentry-devices'],
  );
});

test('a new chart version with the same program restarts no pod and runs no Job again', options, () => {
  for (const pod of pods(manifests('ci:ingress')).filter(({ of }) => !of.startsWith('Pod ')))
    assert.deepEqual(Object.keys(pod.labels).sort(), [
      'app.kubernetes.io/component',
      'app.kubernetes.io/instance',
      'app.kubernetes.io/name',
    ]);
});

test('an external database is migrated before anything else, a bundled one beside it', options, () => {
  const migrate = (name: string) =>
    manifests(`ci:${name}`).find(({ metadata }) => metadata.labels['app.kubernetes.io/component'] === 'migrate');
  assert.equal(migrate('external')?.metadata.annotations?.['helm.sh/hook'], 'pre-install,pre-upgrade');
  assert.equal(migrate('default')?.metadata.annotations, undefined);
});

test('a site without a way out fetches every image from its own registry', options, () => {
  const all = manifests('ci:air-gapped');
  const images = pods(all)
    .flatMap(containers)
    .map(({ image }) => image);
  for (const image of [...images, one(all, 'Cluster').spec.imageName])
    assert.match(image, /^registry\.site\.example\//);
  assert.match(one(all, 'Deployment').spec.template.spec.containers[0].image, /:1\.2\.3@sha256:a{64}$/);
  for (const pod of pods(all))
    assert.deepEqual(pod.spec.imagePullSecrets, [{ name: 'site-registry' }, { name: 'more' }]);
});

test("the Prometheus operator's objects are left out, or asked for, where it is absent", options, () => {
  const on = ['--set', 'monitoring.serviceMonitor.enabled=true'];
  assert.doesNotMatch(render(on).text, /ServiceMonitor/);
  assert.match(render([...on, '--set', 'monitoring.renderMode=alwaysRender']).text, /kind: ServiceMonitor/);
  const failing = render([...on, '--set', 'monitoring.renderMode=failIfMissing']);
  assert.match(failing.error, /does not have monitoring\.coreos\.com\/v1\/ServiceMonitor/);
});

function helmDocsMissing(): string | false {
  const present = spawnSync('helm-docs', ['--help']).status === 0;
  return present ? false : 'NO HELM-DOCS FOR THIS TEST: whether README.md is up to date was not tested here';
}
