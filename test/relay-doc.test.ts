/** docs/relay.md says what the source says. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { relayMetrics } from '../src/relay/relay-metrics.ts';
import { eds } from './support/command-line.ts';

const doc = readFileSync(new URL('../docs/relay.md', import.meta.url), 'utf8');

test('an operator finds every metric of the relay in docs/relay.md, and none that is gone', () => {
  const documented = [...doc.matchAll(/^\| `(edgesentry_[a-z_]+)` +\|/gm)].map(([, name]) => name);
  assert.deepEqual(
    documented,
    Object.values(relayMetrics).map(({ name }) => name),
  );
});

test('the flags that docs/relay.md lists are the relay alone, with their defaults', async () => {
  const optionsOf = async (name: string) => {
    const { stdout } = await eds([name, '--help']);
    return new Set([...stdout.matchAll(/^ {2}(--[a-z0-9-]+)/gm)].map(([, flag]) => flag));
  };
  const stores = ['--database-url', '--pool-size', '--payload-layout', '--store-dir'];
  const s3 = ['--s3-bucket', '--s3-endpoint', '--s3-region', '--s3-force-path-style'];
  const [serve, relay] = [await optionsOf('serve'), await optionsOf('relay')];
  assert.deepEqual([...serve.difference(relay)].sort(), [...stores, ...s3].sort());
  const documented = [...doc.matchAll(/^\| `(--[a-z-]+)` +\|/gm)].map(([, flag]) => flag);
  assert.deepEqual([...relay.difference(serve)], documented);
  assert.match((await eds(['relay', '--help'])).stdout, /--queue-bytes-max[\s\S]*default:\s+"1073741824"/);
});
