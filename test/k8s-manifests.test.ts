/** k8s/: the chart for those without Helm. What it does on a cluster is what the chart does. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { parseAllDocuments, parse as parseYaml } from 'yaml';
import { installations, manifestsOf } from '../dev/k8s-manifests.ts';
import { containers, helmMissing, type Manifest, pods } from './chart/helm.ts';

const root = join(import.meta.dirname, '..');
const kubectlMissing =
  spawnSync('kubectl', ['version', '--client']).status === 0
    ? false
    : 'NO KUBECTL FOR THIS TEST: put kubectl on PATH; whether the kustomizations build was not tested here';

function parse(text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => {
    if (document.errors[0]) throw document.errors[0];
    const manifest: Manifest = document.toJS();
    return manifest;
  });
}

for (const installation of installations) {
  const { path } = installation;
  const text = readFileSync(join(root, path), 'utf8');

  test(`${path} is what the chart renders today: npm run k8s`, { skip: helmMissing }, () => {
    assert.equal(text, manifestsOf(installation));
  });

  test(`${path} can be applied from top to bottom, by anybody but Helm`, () => {
    const [first, ...rest] = parse(text);
    assert.deepEqual([first?.kind, first?.metadata.name], ['Namespace', 'edgesentry']);
    assert.ok(rest.length >= 10, `only ${rest.length} objects`);
    for (const { kind, metadata } of rest) {
      const marks = [...Object.keys(metadata.labels), ...Object.keys(metadata.annotations ?? {})];
      assert.equal(metadata.namespace, 'edgesentry', `${kind} ${metadata.name}`);
      assert.deepEqual(
        marks.filter((mark) => mark.includes('helm.sh') || mark.endsWith('managed-by')),
        [],
      );
    }
    assert.equal(
      rest.some(({ kind }) => kind === 'Pod'),
      false,
      'test pods are for helm test',
    );
    assert.ok(
      rest.some(({ metadata }) => metadata.name.startsWith('edgesentry-migrate-')),
      'nobody would make the schema',
    );
  });

  test(`kubectl apply -k ${dirname(path)} runs the image that the kustomization names`, {
    skip: kubectlMissing,
  }, () => {
    const { status, stdout, stderr } = spawnSync('kubectl', ['kustomize', dirname(path)], {
      cwd: root,
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    const built = parse(stdout);
    assert.equal(built.length, parse(text).length);
    const kustomization = readFileSync(join(root, dirname(path), 'kustomization.yaml'), 'utf8');
    const [{ newName, newTag }] = parseYaml(kustomization).images;
    const ours = pods(built)
      .flatMap(containers)
      .filter(({ image }) => !image.includes('minio'));
    assert.ok(ours.length > 2);
    for (const { image } of ours) assert.equal(image, `${newName}:${newTag}`);
  });
}
