/**
 * Schemas of every kind that the chart renders, made anew from the Go modules of Kubernetes and of the operators: those are
 * what a Go module proxy has, and nothing else on the network is asked.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parse } from 'yaml';
import { runCommand } from '../cluster/support/command.ts';
import {
  builtInDefinitions,
  builtInKinds,
  type CustomResourceDefinition,
  customKinds,
  type GroupVersionKind,
  type OpenApi,
  objectMeta,
  type Schema,
} from './strict-schema.ts';

/** The CustomResourceDefinitions that the chart has objects of. */
const extensions: readonly { readonly module: string; readonly folder: string; readonly files: readonly string[] }[] = [
  {
    module: 'github.com/cloudnative-pg/cloudnative-pg@v1.30.0',
    folder: 'config/crd/bases',
    files: [
      'postgresql.cnpg.io_clusters.yaml',
      'postgresql.cnpg.io_databaseroles.yaml',
      'postgresql.cnpg.io_scheduledbackups.yaml',
    ],
  },
  {
    module: 'github.com/cloudnative-pg/plugin-barman-cloud@v0.15.0',
    folder: 'config/crd/bases',
    files: ['barmancloud.cnpg.io_objectstores.yaml'],
  },
  {
    module: 'sigs.k8s.io/gateway-api@v1.4.0',
    folder: 'config/crd',
    files: [
      'standard/gateway.networking.k8s.io_httproutes.yaml',
      'experimental/gateway.networking.k8s.io_tlsroutes.yaml',
    ],
  },
  {
    module: 'github.com/cert-manager/cert-manager@v1.19.0',
    folder: 'deploy/crds',
    files: ['cert-manager.io_certificates.yaml', 'cert-manager.io_issuers.yaml'],
  },
  {
    module: 'github.com/kedacore/keda/v2@v2.18.0',
    folder: 'config/crd/bases',
    files: ['keda.sh_scaledobjects.yaml'],
  },
  {
    module: 'github.com/prometheus-operator/prometheus-operator@v0.85.0',
    folder: 'example/prometheus-operator-crd',
    files: [
      'monitoring.coreos.com_podmonitors.yaml',
      'monitoring.coreos.com_prometheusrules.yaml',
      'monitoring.coreos.com_servicemonitors.yaml',
    ],
  },
];

/** Kubernetes' module is 20 MB, and may come over a slow line. */
const downloadDeadlineMs = 180_000;

/** One file for each kind, as `schemaLocation` finds it. @param version of Kubernetes, as `1.30.0` */
export async function writeSchemas(folder: string, version: string): Promise<void> {
  const swagger = join(await moduleFolder(`k8s.io/kubernetes@v${version}`), 'api/openapi-spec/swagger.json');
  const openApi: OpenApi = JSON.parse(await readFile(swagger, 'utf8'));
  await writeFile(join(folder, 'definitions.json'), JSON.stringify({ definitions: builtInDefinitions(openApi) }));
  const definition = (name: string): Schema => ({ $ref: `../definitions.json#/definitions/${name}` });
  await Promise.all([
    ...builtInKinds(openApi).map((kind) => writeSchema(folder, kind, definition(kind.definition))),
    ...extensions.map(async ({ module, folder: within, files }) => {
      const source = join(await moduleFolder(module), within);
      for (const file of files) {
        const crd: CustomResourceDefinition = parse(await readFile(join(source, file), 'utf8'));
        for (const kind of customKinds(crd, definition(objectMeta))) await writeSchema(folder, kind, kind.schema);
      }
    }),
  ]);
}

/** For kubeconform, whose `Group` of the core group is its version. */
export const schemaLocation = (folder: string): string =>
  join(folder, '{{.Group}}', '{{.ResourceKind}}_{{.ResourceAPIVersion}}.json');

async function writeSchema(folder: string, { group, version, kind }: GroupVersionKind, schema: Schema): Promise<void> {
  const path = join(folder, group || version, `${kind.toLowerCase()}_${version}.json`);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, JSON.stringify(schema));
}

/** Where Go keeps the module, downloaded if need be. @param module as PATH@VERSION */
async function moduleFolder(module: string): Promise<string> {
  const answer = await runCommand('go', ['mod', 'download', '-json', module], { deadlineMs: downloadDeadlineMs });
  const { Dir }: { Dir: string } = JSON.parse(answer);
  return Dir;
}
