/** Renders the chart with helm, as `helm install` would on a cluster that has every operator. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';

export const chart = join(import.meta.dirname, '../../charts/edgesentry');

export const helmMissing =
  spawnSync('helm', ['version']).status === 0
    ? false
    : 'NO HELM FOR THIS TEST: put helm on PATH; nothing about the chart was tested here';

export const ciValues: readonly string[] = readdirSync(join(chart, 'ci')).filter((name) =>
  name.endsWith('-values.yaml'),
);

export type Container = {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: object }[];
  readonly securityContext?: object;
  readonly resources?: { readonly requests?: Record<string, string>; readonly limits?: Record<string, string> };
  readonly [field: string]: unknown;
};

export type PodSpec = {
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes?: readonly { readonly name: string; readonly [source: string]: unknown }[];
  readonly [field: string]: unknown;
};

export type Manifest = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  // biome-ignore lint/suspicious/noExplicitAny: a manifest's fields are its kind's own, and a missing one fails the test
  readonly spec: any;
  readonly [field: string]: unknown;
};

export type Pod = {
  readonly of: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly template: Manifest['metadata'];
  readonly spec: PodSpec;
};

/** APIs whose operators the chart asks for. */
const apis = [
  'postgresql.cnpg.io/v1/DatabaseRole',
  'barmancloud.cnpg.io/v1/ObjectStore',
  'cert-manager.io/v1/Certificate',
  'gateway.networking.k8s.io/v1/HTTPRoute',
  'keda.sh/v1alpha1/ScaledObject',
];

export type Rendering = { readonly ok: boolean; readonly text: string; readonly error: string };

/** @param args more arguments of helm; `ci:NAME` stands for the values file of that name */
export function render(args: readonly string[] = [], without: readonly string[] = []): Rendering {
  const versions = apis.filter((api) => !without.includes(api)).flatMap((api) => ['--api-versions', api]);
  const values = args.flatMap((arg) =>
    arg.startsWith('ci:') ? ['--values', join(chart, 'ci', `${arg.slice(3)}-values.yaml`)] : [arg],
  );
  const { status, stdout, stderr } = spawnSync(
    'helm',
    ['template', 'field', chart, '--namespace', 'audit', ...versions, ...values],
    { encoding: 'utf8' },
  );
  return { ok: status === 0, text: stdout, error: stderr };
}

/** @throws Error with what helm says */
export function manifests(...args: string[]): Manifest[] {
  const { ok, text, error } = render(args);
  if (!ok) throw new Error(error);
  return parseAllDocuments(text).flatMap((document) => {
    if (document.errors[0]) throw document.errors[0];
    const manifest: Manifest | null = document.toJS();
    return manifest === null ? [] : [manifest];
  });
}

/** The one of that kind, or of that kind and name. @throws Error when there is none, or more */
export function one(all: readonly Manifest[], kind: string, name?: string): Manifest {
  const found = all.filter(
    (manifest) => manifest.kind === kind && (name === undefined || manifest.metadata.name === name),
  );
  const [manifest] = found;
  if (manifest === undefined || found.length > 1) throw new Error(`${found.length} of ${kind} ${name ?? ''}`);
  return manifest;
}

/** Every pod that the manifests would start, except an operator's. */
export function pods(all: readonly Manifest[]): Pod[] {
  return all.flatMap(({ kind, metadata, spec }) => {
    const of = `${kind} ${metadata.name}`;
    const template =
      kind === 'Pod' ? { metadata, spec } : kind === 'CronJob' ? spec.jobTemplate.spec.template : spec?.template;
    if (template?.spec?.containers === undefined) return [];
    return [{ of, labels: template.metadata.labels, template: template.metadata, spec: template.spec }];
  });
}

export function containers({ spec }: Pod): Container[] {
  return [...(spec.initContainers ?? []), ...spec.containers];
}
