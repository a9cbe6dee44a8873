/** docs/deploy.md against the chart, helm, kubectl and eds: what a reader copies from it is there. The ladder runs the rest. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { helmMissing, type Manifest, manifests, render } from './chart/helm.ts';
import { commandBlocks, ladderScript } from './cluster/support/doc-commands.ts';

const root = join(import.meta.dirname, '..');
const guide = readFileSync(join(root, 'docs/deploy.md'), 'utf8');

/** YAML files, by the name that their first line says. */
const yamlFiles = new Map(
  Array.from(guide.matchAll(/^```yaml\n# (\S+\.yaml)\n(.*?)^```$/gms), ([, name = '', text = '']) => [name, text]),
);
const valuesFiles = new Map([...yamlFiles].filter(([name]) => name !== 'kustomization.yaml'));

/** Simple commands, in words as the shell would make them, of all blocks. Heredocs and expansions stay as they are. */
const commands = commandBlocks().flatMap(({ script }) =>
  script
    .replaceAll(/<<END\n.*?^END$/gms, '')
    .replaceAll(/\\\n|\|\n/g, (end) => (end === '|\n' ? '| ' : ' '))
    .split('\n')
    .flatMap((line) => line.split(/ \| | && | &$/))
    .map((command) => wordsOf(command.trim())),
);
const commandsOf = (program: string) => commands.filter(([first]) => first === program).map((words) => words.slice(1));

function wordsOf(command: string): string[] {
  return Array.from(
    command.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g),
    ([, single, double, bare]) => single ?? double ?? bare ?? '',
  );
}

/** Values of a flag, in either form. */
function valuesOf(flag: string, words: readonly string[]): string[] {
  return words.flatMap((word, index) => {
    if (word === flag) return words[index + 1] ?? [];
    return word.startsWith(`${flag}=`) ? word.slice(flag.length + 1) : [];
  });
}

test('the guide is full of commands and values', () => {
  assert.ok(commandsOf('helm').length > 8 && commandsOf('kubectl').length > 20, `${commands.length} commands`);
  assert.ok(valuesFiles.size > 8, `${valuesFiles.size} values files`);
});

test('no two blocks that the ladder runs have one name, and each is in a namespace of its choice', () => {
  const names = commandBlocks().flatMap(({ name }) => name ?? []);
  assert.ok(names.length > 8);
  for (const name of names) assert.doesNotMatch(ladderScript(name, 'other'), /namespace[ =]edgesentry|-n edgesentry/);
});

for (const [name, text] of valuesFiles) {
  test(`the chart takes ${name} as the guide prints it`, { skip: helmMissing }, (t) => {
    const { ok, error } = render(['--values', fileOf(t, name, text)]);
    assert.ok(ok, error);
  });
}

type Cleaner = { after(fn: () => void): void };

function fileOf(t: Cleaner, name: string, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'eds-deploy-doc-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

/** `values.yaml` stands for all of the reader's; `devices.yaml` is written by the block that uses it. */
const readersOwn = ['values.yaml', 'devices.yaml'];

test('every helm command has flags that helm knows, charts and values files that exist', { skip: helmMissing }, () => {
  for (const [verb = '', ...words] of commandsOf('helm')) {
    const line = `helm ${verb} ${words.join(' ')}`;
    assertFlagsKnown(line, words, outputOf('helm', [verb, '--help']));
    for (const file of valuesOf('--values', words)) assert.ok(readersOwn.includes(file) || valuesFiles.has(file), line);
    for (const path of words.filter((word) => word.startsWith('charts/')))
      assert.ok(existsSync(join(root, path)), line);
    const set = valuesOf('--set', words).flatMap((value) => ['--set', value]);
    const { ok, error } = render(set);
    assert.ok(ok, `${line}: ${error}`);
  }
});

function outputOf(program: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  assert.equal(status, 0, `${program} ${args.join(' ')}: ${stderr}`);
  return stdout;
}

function assertFlagsKnown(line: string, words: readonly string[], help: string): void {
  const flags = words.filter((word) => word.startsWith('-')).map((word) => word.split('=')[0] ?? '');
  for (const flag of flags) assert.match(help, new RegExp(`(^|[\\s,])${flag}([\\s=,]|$)`, 'm'), `${line}: ${flag}`);
}

const kubectlMissing =
  spawnSync('kubectl', ['version', '--client']).status === 0
    ? false
    : 'NO KUBECTL FOR THIS TEST: put kubectl on PATH; the kubectl commands of docs/deploy.md were not tested here';
const groups = ['create', 'rollout'];

test('the kustomization of the guide changes what it says', { skip: kubectlMissing }, (t) => {
  const file = fileOf(t, 'kustomization.yaml', yamlFiles.get('kustomization.yaml') ?? '');
  cpSync(join(root, 'k8s'), join(dirname(file), 'k8s'), { recursive: true });
  const built = outputOf('kubectl', ['kustomize', dirname(file)]);
  assert.match(built, /image: registry\.example\.com\/platform\/edgesentry:0\.1\.0$/m);
  assert.match(built, /replicas: 5$/m);
  assert.match(built, /size: 200Gi$/m);
});

test('every kubectl command has a verb and flags that kubectl knows', { skip: kubectlMissing }, () => {
  const everywhere = outputOf('kubectl', ['options']);
  for (const words of commandsOf('kubectl')) {
    const rest = withoutNamespace(words);
    const verb = rest.slice(0, subcommandLength(rest));
    const end = words.indexOf('--');
    const own = end < 0 ? words : words.slice(0, end);
    assertFlagsKnown(`kubectl ${words.join(' ')}`, own, everywhere + outputOf('kubectl', [...verb, '--help']));
  }
});

const withoutNamespace = (words: readonly string[]) => (words[0] === '--namespace' ? words.slice(2) : words);

/** `rollout status`, `create secret generic`, `apply` */
function subcommandLength([verb = '', kind]: readonly string[]): number {
  if (!groups.includes(verb)) return 1;
  return kind === 'secret' ? 3 : 2;
}

test('every object that a kubectl command names is rendered by the chart, or made by the guide', {
  skip: helmMissing,
}, () => {
  const all = rendered();
  const made = commandsOf('kubectl').flatMap((words) => {
    const [verb, kind = '', type, name = ''] = withoutNamespace(words);
    if (verb !== 'create') return [];
    return kind === 'secret' ? `secret/${name}` : `${kind}/${type}`;
  });
  const known = new Set([...all.map(({ kind, metadata }) => `${kind.toLowerCase()}/${metadata.name}`), ...made]);
  const named = commandsOf('kubectl').flatMap((words) =>
    words[1] === 'cnpg-system'
      ? []
      : words.filter((word) => /^(deployment|service|cronjob|job|secret)\/[a-z]/.test(word)),
  );
  assert.ok(named.length > 8, named.join(' '));
  assert.deepEqual(
    named.filter((name) => !known.has(name)),
    [],
  );
});

test('every Secret that the values name is made by a command of the guide, or is the reader’s own', () => {
  const created = commandsOf('kubectl').flatMap((words) => {
    const [verb, kind, , name = ''] = withoutNamespace(words);
    return verb === 'create' && kind === 'secret' ? name : [];
  });
  const named = [...valuesFiles.values()].flatMap((text) =>
    Array.from(text.matchAll(/(?:existingSecret|caSecret): ([\w-]+)/g), ([, name = '']) => name),
  );
  assert.ok(named.length > 5);
  assert.deepEqual(
    named.filter((name) => !created.includes(name)),
    [],
  );
});

test('what pods of the defaults ask for is what the guide says', { skip: helmMissing }, () => {
  const all = rendered();
  const rows = [
    ...guide.matchAll(/^\| (the service|PostgreSQL|MinIO) \| (\d) \| (\S+) \| (\S+) \| (\S+) \| (\S*) ?\|$/gm),
  ];
  const said = Object.fromEntries(rows.map(([, who = '', ...cells]) => [who, cells]));
  const of = (kind: string) => all.find((manifest) => manifest.kind === kind)?.spec;
  const [deployment, cluster, minio] = [of('Deployment'), of('Cluster'), of('StatefulSet')];
  const asked = ({ requests, limits }: { requests: Amounts; limits: Amounts }) => [
    requests.cpu,
    requests.memory,
    limits.memory,
  ];
  assert.deepEqual(said, {
    'the service': [`${deployment.replicas}`, ...asked(deployment.template.spec.containers[0].resources), ''],
    PostgreSQL: [`${cluster.instances}`, ...asked(cluster.resources), cluster.storage.size],
    MinIO: [
      `${minio.replicas}`,
      ...asked(minio.template.spec.containers[0].resources),
      minio.volumeClaimTemplates[0].spec.resources.requests.storage,
    ],
  });
});

type Amounts = { readonly cpu: string; readonly memory: string };

/** Of the release that the guide speaks of, with everything that its commands ask for. */
function rendered(): Manifest[] {
  return manifests('--set', 'fullnameOverride=edgesentry', '--set', 'audit.enabled=true');
}
