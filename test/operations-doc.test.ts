/** docs/operations.md says what the source says: every flag with its variable and default, every metric. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import test from 'node:test';
import { audit } from '../src/commands/audit.ts';
import { bucketInit } from '../src/commands/bucket-init.ts';
import { type CommandFactory, EnvironmentOption, type Io } from '../src/commands/command.ts';
import { migrate } from '../src/commands/migrate.ts';
import { serve } from '../src/commands/serve.ts';
import { serveTls } from '../src/commands/serve-tls.ts';
import { metricTable } from '../src/telemetry/metric-names.ts';
import { connectionRefusals } from '../src/transport/tcp/connection-refusal.ts';

const doc = readFileSync(new URL('../docs/operations.md', import.meta.url), 'utf8');

const io: Io = {
  stdin: new PassThrough(),
  stdout: new PassThrough(),
  stderr: new PassThrough(),
  env: {},
  signal: new AbortController().signal,
};

type Flag = { readonly flag: string; readonly variable: string; readonly default: string };

const byFlag = (left: Flag, right: Flag) => left.flag.localeCompare(right.flag);

/** The rows of the table under a heading of the third level. */
function documentedFlags(heading: string): Flag[] {
  const section = doc.split(`\n### ${heading}\n`)[1]?.split(/\n##+ /)[0] ?? '';
  const rows = section.matchAll(/^\| `(--[a-z0-9-]+)` \| `([A-Z0-9_]+)` \| (?:`([^`]*)`)? ?\|/gm);
  return [...rows].map(([, flag = '', variable = '', text = '']) => ({ flag, variable, default: text }));
}

function flagsOf(make: CommandFactory): Flag[] {
  return make(io).options.flatMap((option) =>
    option instanceof EnvironmentOption
      ? [{ flag: `--${option.name()}`, variable: option.variable, default: String(option.defaultValue ?? '') }]
      : [],
  );
}

const stores = documentedFlags('The stores');
const ledger = stores.slice(0, 2);

for (const { name, make, shared } of [
  { name: 'eds serve', make: serve, shared: stores },
  { name: 'eds bucket init', make: bucketInit, shared: stores.slice(2) },
  { name: 'eds migrate', make: migrate, shared: ledger },
  { name: 'eds audit', make: audit, shared: stores },
]) {
  test(`an operator finds every flag of ${name} in docs/operations.md, and none that is gone`, () => {
    assert.deepEqual([...shared, ...documentedFlags(name)].sort(byFlag), flagsOf(make).sort(byFlag));
  });
}

test('an operator finds every flag of eds serve-tls in docs/operations.md, and none that is gone', () => {
  const plain = documentedFlags('eds serve').filter(({ flag }) => flag !== '--addr');
  const address = { flag: '--addr', variable: 'EDS_ADDR', default: '0.0.0.0:8443' };
  const documented = [...stores, ...plain, address, ...documentedFlags('eds serve-tls')];
  assert.deepEqual(documented.sort(byFlag), flagsOf(serveTls).sort(byFlag));
});

test('every reason for which a connection is refused is explained in docs/operations.md, and none that is gone', () => {
  const section = doc.split('\n### Refused connections\n')[1]?.split('\n## ')[0] ?? '';
  const rows = [...section.matchAll(/^\| (`[^|]+) \|/gm)].flatMap(([, cell = '']) => [
    ...cell.matchAll(/`([a-z_]+)`/g),
  ]);
  const documented = rows.map(([, reason]) => reason).filter((reason) => reason !== 'reason');
  assert.deepEqual(documented.sort(), [...connectionRefusals].sort());
});

test('an operator finds every metric in docs/operations.md, and none that is gone', () => {
  const section = doc.split('\n## Metrics\n')[1]?.split('\nBeside them')[0] ?? '';
  const documented = [...section.matchAll(/^\| `(edgesentry_[a-z_]+)` \|/gm)].map(([, name]) => name);
  assert.deepEqual(
    documented.sort(),
    Object.values(metricTable)
      .map(({ name }) => name)
      .sort(),
  );
});
