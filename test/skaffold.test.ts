/** skaffold.yaml against the chart and the checkout: one command from source to a running cluster finds what it names. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { parse } from 'yaml';
import { helmMissing, type Manifest, manifests, render } from './chart/helm.ts';

type Forward = { readonly resourceName: string; readonly port: number };
type Patch = { readonly op: string; readonly path: string; readonly value: unknown };
type Profile = { readonly name: string; readonly patches: readonly Patch[] };
type HelmRelease = {
  readonly name: string;
  readonly chartPath: string;
  readonly namespace: string;
  readonly setValueTemplates: Readonly<Record<string, string>>;
};
type Config = {
  readonly build: { readonly artifacts: readonly { readonly image: string }[] };
  readonly deploy: { readonly helm: { readonly releases: readonly HelmRelease[] } };
  readonly portForward: readonly Forward[];
  readonly profiles: readonly Profile[];
};

const root = join(import.meta.dirname, '..');
const config: Config = parse(readFileSync(join(root, 'skaffold.yaml'), 'utf8'));
const [release] = config.deploy.helm.releases;
assert.ok(release);

test('the chart runs the image that was built', { skip: helmMissing }, () => {
  assert.ok(existsSync(join(root, release.chartPath, 'Chart.yaml')));
  const [artifact] = config.build.artifacts;
  assert.deepEqual(release.setValueTemplates, {
    'image.repository': `{{.IMAGE_REPO_${artifact?.image}}}`,
    'image.tag': `{{.IMAGE_TAG_${artifact?.image}}}`,
  });
  const built = Object.keys(release.setValueTemplates).flatMap((name) => ['--set', `${name}=built`]);
  assert.match(render(built).text, /image: built:built$/m);
});

test('devices and operators reach the service on the forwarded ports', { skip: helmMissing }, () => {
  const services = manifests('--set', `fullnameOverride=${release.name}`).filter(({ kind }) => kind === 'Service');
  assert.equal(config.portForward.length, 2);
  for (const { resourceName, port } of config.portForward) {
    const service = services.find(({ metadata }) => metadata.name === resourceName);
    assert.deepEqual(portsOf(service), [port], resourceName);
  }
});

const portsOf = (service: Manifest | undefined): number[] =>
  service?.spec.ports.map(({ port }: { port: number }) => port);

test('the small profile is values that the chart takes', { skip: helmMissing }, () => {
  const small = config.profiles.find(({ name }) => name === 'small');
  const files = small?.patches.flatMap(({ value }) => value as string[]) ?? [];
  assert.ok(files.length > 0);
  const { ok, error } = render(files.flatMap((file) => ['--values', join(root, file)]));
  assert.ok(ok, error);
});

test('every profile patches what is there', () => {
  for (const { name, patches } of config.profiles)
    for (const { path } of patches) {
      const parent = path.split('/').slice(1, -1);
      const found = parent.reduce<unknown>(
        (value, key) => (value as Record<string, unknown> | undefined)?.[key],
        config,
      );
      assert.equal(typeof found, 'object', `${name}: ${path}`);
    }
});
