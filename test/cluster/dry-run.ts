/**
 * Everything that the chart renders, in every mode, put to a real API server, which keeps none of it: its validation, the
 * operators' webhooks and Pod Security admission see what a schema cannot. KUBECONFIG names the cluster.
 */
import assert from 'node:assert/strict';
import test from 'node:test';
import { ciValues, type Manifest, manifests, one, pods } from '../chart/helm.ts';
import { runCommand } from './support/command.ts';
import { Namespace } from './support/namespace.ts';
import { clusterMissing } from './support/settings.ts';

/** Some thirty objects, one after the other, on a cluster that others use as well. */
const applyDeadlineMs = 120_000;

test('the chart before a real API server', { skip: process.env.KUBECONFIG ? false : clusterMissing }, async (t) => {
  await using namespace = await Namespace.create();
  // Admission refuses a pod; of what a Deployment or a Job would start it only warns, and only where it is told to.
  await namespace.kubectl('label', 'namespace', namespace.name, 'pod-security.kubernetes.io/warn=restricted');
  const versions = (await runCommand('kubectl', ['api-versions'])).split('\n');
  const absent = new Set<string>();
  const render = (...args: string[]) => manifests(...args, '--namespace', namespace.name);

  for (const values of ciValues) {
    const name = values.replace('-values.yaml', '');
    await t.test(`${name}: it takes every object`, async () => {
      const all = render(`ci:${name}`);
      const known = all.filter(({ apiVersion }) => versions.includes(apiVersion));
      for (const { apiVersion, kind } of all) if (!versions.includes(apiVersion)) absent.add(`${apiVersion} ${kind}`);
      await createServiceAccounts(namespace, known);
      const taken = await dryRun(namespace, known);
      assert.equal(taken.trim().split('\n').length, known.length, taken);
    });
  }
  if (absent.size > 0) t.diagnostic(`left out, since this cluster does not know them: ${[...absent].join(', ')}`);

  await t.test('it finds a pod that the level "restricted" would not let run', async () => {
    const deployment = one(render(), 'Deployment');
    for (const { spec } of pods([deployment])) Object.assign(spec, { securityContext: {} });
    await assert.rejects(dryRun(namespace, [deployment]), /would violate PodSecurity/);
  });

  await t.test('it finds a field that it does not know', async () => {
    const deployment = one(render(), 'Deployment');
    Object.assign(deployment.spec, { replicaz: 3 });
    await assert.rejects(dryRun(namespace, [deployment]), /unknown field "spec.replicaz"/);
  });
});

/** Admission asks for the service account of a pod, and a dry run has left none. */
async function createServiceAccounts(namespace: Namespace, all: readonly Manifest[]): Promise<void> {
  const names = all.filter(({ kind }) => kind === 'Pod').map(({ spec }) => spec.serviceAccountName);
  for (const name of new Set<string>(names))
    await namespace.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name } });
}

/** @returns a line for each object. @throws Error with what the API server refuses, or warns of */
function dryRun(namespace: Namespace, all: readonly Manifest[]): Promise<string> {
  const flags = ['--dry-run=server', '--validate=strict', '--warnings-as-errors'];
  return runCommand('kubectl', [`--namespace=${namespace.name}`, 'apply', ...flags, '--filename=-'], {
    // Not as a List: of that kind's fields kubectl judges by itself.
    stdin: all.map((manifest) => JSON.stringify(manifest)).join('\n---\n'),
    deadlineMs: applyDeadlineMs,
  });
}
