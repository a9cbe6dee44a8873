import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import packageJson from '../package.json' with { type: 'json' };

type LockEntry = { readonly hasInstallScript?: boolean };

const read = (path: string) => readFile(new URL(`../${path}`, import.meta.url), 'utf8');
const lock: { packages: Record<string, LockEntry> } = JSON.parse(await read('package-lock.json'));
const page = await read('docs/dependencies.md');
const [, run, develop] = page.split('\n## ');

function argued(section = ''): string[] {
  return [...section.matchAll(/^\| `([^`]+)` \| \S.+ \|$/gm)].map(([, name]) => name ?? '');
}

test('every dependency is argued for in docs/dependencies.md, and none that is gone', () => {
  assert.deepEqual(argued(run), Object.keys(packageJson.dependencies));
  assert.deepEqual(argued(develop), Object.keys(packageJson.devDependencies));
});

test('every package that wants to run code when it is installed is decided on', () => {
  const wanting = Object.entries(lock.packages).filter(([, entry]) => entry.hasInstallScript);
  const names = wanting.map(([path]) => path.replace(/^.*node_modules\//, ''));
  assert.deepEqual(new Set(Object.keys(packageJson.allowScripts)), new Set(names));
});
