/** What the chart renders, and what k8s/ holds, against the schemas of the oldest and of the newest Kubernetes supported. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { parse } from 'yaml';
import { chart, ciValues, manifests, one, render } from './chart/helm.ts';
import { schemaLocation, writeSchemas } from './chart/schemas.ts';

const { kubeVersion }: { kubeVersion: string } = parse(readFileSync(join(chart, 'Chart.yaml'), 'utf8'));
const [, oldest = ''] = /^>=(\d+\.\d+\.\d+)-0$/.exec(kubeVersion) ?? [];
/** The newest that the chart is installed on in CI. */
const newest = '1.35.0';

const missing = [
  ['helm', 'version'],
  ['kubeconform', '-v'],
  ['go', 'version'],
].filter(([program = '', ...args]) => spawnSync(program, args).status !== 0);
const skip =
  missing.length === 0
    ? false
    : `NO ${missing.map(([program]) => program).join(', ')} FOR THIS TEST: put it on PATH; no manifest was held against Kubernetes' schemas`;
const options = { skip };

/** Beside them stands what is no object of Kubernetes: values, and kustomization.yaml. */
const plainManifests = globSync(join(chart, '../../k8s/**/edgesentry.yaml'));

type Judgement = { readonly valid: boolean; readonly text: string };

/** @param files paths, or folders with *.yaml; a kind without a schema is an error like any other */
function judge(schemas: string, files: readonly string[]): Judgement {
  const args = ['-strict', '-summary', '-schema-location', schemaLocation(schemas), ...files];
  const { status, stdout, stderr } = spawnSync('kubeconform', args, { encoding: 'utf8' });
  return { valid: status === 0, text: `${stdout}${stderr}` };
}

for (const version of [oldest, newest]) {
  test(`Kubernetes ${version} knows every field that the chart and k8s/ set, in every mode`, options, async (t) => {
    await using schemas = await mkdtempDisposable(join(tmpdir(), 'eds-schemas-'));
    await writeSchemas(schemas.path, version);
    await using rendered = await mkdtempDisposable(join(tmpdir(), 'eds-rendered-'));
    for (const values of ciValues) {
      const { ok, text, error } = render([`ci:${values.replace('-values.yaml', '')}`, '--kube-version', version]);
      assert.ok(ok, error);
      await writeFile(join(rendered.path, values), text);
    }
    assert.ok(plainManifests.length > 0);
    const { valid, text } = judge(schemas.path, [rendered.path, ...plainManifests]);
    assert.ok(valid, text);
    t.diagnostic(text.trim());
  });
}

test('a field that Kubernetes does not know, or not yet, or of another type, is found', options, async () => {
  await using schemas = await mkdtempDisposable(join(tmpdir(), 'eds-schemas-'));
  await writeSchemas(schemas.path, oldest);
  const all = manifests('ci:keda');
  const planted = async (manifest: object) => {
    const file = join(schemas.path, 'planted.yaml');
    await writeFile(file, JSON.stringify(manifest));
    return judge(schemas.path, [file]);
  };
  const deployment = one(all, 'Deployment');
  assert.equal((await planted(deployment)).valid, true);
  const { template } = deployment.spec;
  const withPod = (fields: object) => ({
    ...deployment,
    spec: { ...deployment.spec, template: { ...template, spec: { ...template.spec, ...fields } } },
  });
  for (const [manifest, says] of [
    [withPod({ terminationGracePeriodSecond: 60 }), /'terminationGracePeriodSecond' not allowed/],
    // A pod's own resources: Kubernetes 1.32.
    [withPod({ resources: { limits: { memory: '1Gi' } } }), /'resources' not allowed/],
    [withPod({ terminationGracePeriodSeconds: '60' }), /terminationGracePeriodSeconds.* want integer/],
    [{ ...deployment, apiVersion: 'apps/v1beta2' }, /could not find schema for Deployment/],
    [{ ...one(all, 'Cluster'), spec: { ...one(all, 'Cluster').spec, instancez: 3 } }, /'instancez' not allowed/],
    [{ ...one(all, 'ObjectStore'), spec: {} }, /configuration/],
    [{ ...one(all, 'ScaledObject'), metadata: { name: 'a', label: {} } }, /'label' not allowed/],
  ] as const) {
    const { valid, text } = await planted(manifest);
    assert.equal(valid, false, text);
    assert.match(text, says);
  }
});

test('an older Kubernetes than the oldest is refused', options, () => {
  const [major, minor] = oldest.split('.').map(Number);
  const { ok, error } = render(['--kube-version', `${major}.${Number(minor) - 1}.0`]);
  assert.equal(ok, false);
  assert.match(error, /kubeVersion/);
});
