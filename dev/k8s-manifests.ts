/**
 * Plain manifests for clusters without Helm, made from the chart: `npm run k8s` writes them below k8s/. It takes helm and no
 * cluster. What only Helm can do is left out: its test pods and its marks. A hook becomes the Job that it is.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Document, isMap, isNode, parseAllDocuments, visit, type YAMLMap } from 'yaml';

const root = join(import.meta.dirname, '..');
const chart = 'charts/edgesentry';
const name = 'edgesentry';

type Installation = {
  /** Where the manifests go, from the project's root. */
  readonly path: string;
  readonly what: string;
  readonly values: readonly string[];
};

export const installations: readonly Installation[] = [
  {
    path: 'k8s/edgesentry.yaml',
    what: 'Everything as it comes: PostgreSQL by the CloudNativePG operator, which must be installed, and a MinIO of one node.',
    values: [],
  },
  {
    path: 'k8s/external/edgesentry.yaml',
    what: 'With PostgreSQL and S3 of somebody else, by the Secrets and the bucket that values.yaml beside this file names.',
    values: ['k8s/external/values.yaml'],
  },
];

/** @returns the text of the file. @throws Error with what helm says */
export function manifestsOf(installation: Installation): string {
  const documents = parseAllDocuments(render(installation.values)).filter(({ contents }) => isMap(contents));
  for (const document of documents) withoutHelm(document);
  return [header(installation), namespace, ...documents.map((document) => document.toString(layout))].join('---\n');
}

/** Lines as long as the chart has them. */
const layout = { lineWidth: 0, directives: false, flowCollectionPadding: false } as const;

function render(values: readonly string[]): string {
  const files = values.flatMap((file) => ['--values', file]);
  // The test pods are Helm's. No cluster is asked for its APIs, so the one that the chart needs is named.
  const settings = ['--set', 'tests.enabled=false', '--api-versions', 'postgresql.cnpg.io/v1/DatabaseRole'];
  const args = ['template', name, chart, '--namespace', name, ...files, ...settings];
  const { status, stdout, stderr, error } = spawnSync('helm', args, { cwd: root, encoding: 'utf8' });
  if (error) throw error;
  if (status !== 0) throw new Error(`helm template: ${stderr}`);
  return stdout;
}

/** Helm would take what bears its marks for its own, and nobody else reads them. */
function withoutHelm(document: Document): void {
  // The comment says which template it was. Conditions leave empty lines behind.
  if (isMap(document.contents)) document.contents.commentBefore = null;
  document.commentBefore = null;
  visit(document, {
    Node: (_, node) => {
      if (isNode(node)) node.spaceBefore = false;
    },
  });
  document.deleteIn(['metadata', 'labels', 'app.kubernetes.io/managed-by']);
  for (const field of ['labels', 'annotations']) {
    const marks = document.getIn(['metadata', field]);
    if (!isMap(marks)) continue;
    for (const mark of keysOf(marks)) if (mark.startsWith('helm.sh/')) marks.delete(mark);
    if (marks.items.length === 0) document.deleteIn(['metadata', field]);
  }
}

const keysOf = (map: YAMLMap): string[] => map.items.map(({ key }) => String(key));

function header({ what, values }: Installation): string {
  const source = [chart, ...values].join(' and ');
  return `# Made by \`npm run k8s\` from ${source}: change those, not this.
# ${what}
# How to apply it, and which values to set: docs/deploy.md. To delete the namespace is to delete what is in it.
`;
}

const namespace = `apiVersion: v1
kind: Namespace
metadata:
  name: ${name}
  labels:
    pod-security.kubernetes.io/enforce: restricted
`;

if (import.meta.main) {
  for (const installation of installations) {
    const file = join(root, installation.path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, manifestsOf(installation));
    process.stdout.write(`${installation.path}\n`);
  }
}
