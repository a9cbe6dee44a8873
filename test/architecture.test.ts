/**
 * Imports point one way: main -> commands -> {transport, ledger, payload-store, telemetry, config, lifecycle} -> ingest
 * -> record. What a folder may know is this table; docs/architecture.md says why.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import test from 'node:test';

const below = ['ingest', 'record'];
const siblings = ['transport', 'ledger', 'payload-store', 'telemetry', 'config', 'lifecycle', 'relay'];

/** The areas that each area of src/ may import besides itself. Siblings meet in `commands`, through the ports of `ingest`. */
const allowedAreas: Readonly<Record<string, readonly string[]>> = {
  main: ['commands', 'lifecycle'],
  commands: [...siblings, ...below, 'audit', 'device'],
  ...Object.fromEntries(siblings.map((area) => [area, below])),
  // The auditor is a use case beside ingest, with ports of its own.
  audit: below,
  ledger: [...below, 'audit'],
  'payload-store': [...below, 'audit'],
  // To the centre, a relay is a sender as a device is.
  relay: [...below, 'device'],
  ingest: ['record'],
  device: ['record'],
  record: [],
};

/** Packages that one folder wraps for all the others. */
const packageOwners: readonly (readonly [name: RegExp, owner: string])[] = [
  [/^pg(-|\/|$)/, 'ledger/'],
  [/^@(aws-sdk|smithy)\//, 'payload-store/'],
  [/^express(\/|$)/, 'transport/http/'],
  [/^(sodium-native|@napi-rs\/blake-hash|@noble\/)/, 'record/'],
];

/** Static imports and re-exports start a line or end a list of names that does; the rest are dynamic imports. */
const importLines = [
  /^(?:import|export|\})[^'"\n]*\bfrom\s+'([^']+)'/gm,
  /^import\s+'([^']+)'/gm,
  /\bimport\(\s*'([^']+)'/g,
];

function importsOf(source: string): string[] {
  return importLines.flatMap((line) => [...source.matchAll(line)].map(([, specifier]) => specifier ?? ''));
}

/** `ledger` for `ledger/pool.ts`, `config` for `config.ts`. */
const areaOf = (path: string) => (path.split('/')[0] ?? '').replace(/\.ts$/, '');

/** Why the file at `path`, relative to src/, must not import `specifier`; undefined when it may. */
function violation(path: string, specifier: string): string | undefined {
  const area = areaOf(path);
  if (!specifier.startsWith('.')) {
    const owner = packageOwners.find(([name]) => name.test(specifier))?.[1];
    return owner === undefined || path.startsWith(owner)
      ? undefined
      : `${path} imports ${specifier}: only ${owner} may`;
  }
  const targetPath = posix.join(posix.dirname(path), specifier);
  // For the version; nothing else outside src/ is shipped.
  if (targetPath === '../package.json') return undefined;
  const target = areaOf(targetPath);
  if (target === area || allowedAreas[area]?.includes(target)) return undefined;
  return `${path} imports ${specifier}: ${area} may import ${allowedAreas[area]?.join(', ') || 'nothing of ours'}`;
}

function violations(sources: Readonly<Record<string, string>>): string[] {
  return Object.entries(sources).flatMap(([path, source]) =>
    importsOf(source).flatMap((specifier) => violation(path, specifier) ?? []),
  );
}

function readSources(): Record<string, string> {
  const root = join(import.meta.dirname, '../src');
  const paths = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'));
  return Object.fromEntries(paths.map((path) => [path, readFileSync(join(root, path), 'utf8')]));
}

test('imports point one way', () => {
  assert.deepEqual(violations(readSources()), []);
});

test('every folder of src/ has its place in the order', () => {
  const unplaced = Object.keys(readSources()).filter((path) => !(areaOf(path) in allowedAreas));
  assert.deepEqual(unplaced, []);
});

test('the checker reads every form of import', () => {
  const source = [
    "import a from './a.ts';",
    "import type { B } from './b.ts';",
    'import {\n  type C,\n  c,\n} from',
    "  './c.ts';",
    "import './d.ts';",
    "export { e } from './e.ts';",
    "export * from './f.ts';",
    "const g = await import('./g.ts');",
    "const query = `select 1 from './not-an-import.ts'`;",
  ].join('\n');
  assert.deepEqual(
    importsOf(source)
      .map((specifier) => specifier.slice(2, 3))
      .sort(),
    ['a', 'b', 'c', 'd', 'e', 'f', 'g'],
  );
});

const planted: readonly (readonly [path: string, specifier: string])[] = [
  ['record/x.ts', '../ingest/ports.ts'],
  ['record/x.ts', 'pg'],
  ['ingest/x.ts', '../ledger/pool.ts'],
  ['ingest/x.ts', '@aws-sdk/client-s3'],
  ['ledger/x.ts', '../payload-store/s3-blobs.ts'],
  ['ledger/x.ts', '../config.ts'],
  ['payload-store/x.ts', 'pg/lib/client.js'],
  ['transport/http/x.ts', '../../telemetry/metrics.ts'],
  ['transport/tls/x.ts', 'express'],
  ['telemetry/x.ts', '../commands/serve.ts'],
  ['device/x.ts', '../ingest/ingest.ts'],
  ['relay/x.ts', '../ledger/pool.ts'],
  ['relay/x.ts', '../transport/http/reply.ts'],
  ['commands/x.ts', '../main.ts'],
  ['commands/x.ts', 'sodium-native'],
  ['main.ts', './ledger/pool.ts'],
  ['lifecycle.ts', './config.ts'],
  ['commands/x.ts', '../../test/support/postgres.ts'],
];

for (const [path, specifier] of planted) {
  test(`the checker catches ${path} importing ${specifier}`, () => {
    assert.equal(violations({ [path]: `import { x } from '${specifier}';` }).length, 1);
  });
}
