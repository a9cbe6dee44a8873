/** The bounds that docs/architecture.md promises are those of the source. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');

const units: Readonly<Record<string, number>> = { '': 1, bytes: 1, KiB: 1024, MiB: 1024 ** 2, ms: 1, s: 1000 };

/** `48 MiB` in bytes, `5 s` in milliseconds, `4,096` as it is. */
function documentedValue(text: string): number {
  const [number = '', unit = ''] = text.split(' ');
  return Number(number.replaceAll(',', '')) * (units[unit] ?? Number.NaN);
}

/** The constant or property `name`, a product of whole numbers. */
function sourceValue(source: string, name: string): number {
  const text = new RegExp(`(?:const ${name} =|^ {2}${name}:) ([0-9_ *]+)[;,]`, 'm').exec(source)?.[1] ?? '';
  return text.split('*').reduce((product, factor) => product * Number.parseInt(factor.replaceAll('_', ''), 10), 1);
}

const rows = read('docs/architecture.md').matchAll(/^\| [^|]+ \| ([^|]+) \| `(\w+)` in `(src\/[^`]+)` \|/gm);
const bounds = [...rows].map(([, value = '', name = '', path = '']) => ({ value, name, path }));

test('docs/architecture.md lists bounds', () => {
  assert.ok(bounds.length > 30, `only ${bounds.length} rows were read`);
});

for (const { value, name, path } of bounds) {
  test(`whoever plans by docs/architecture.md can rely on ${name}: ${value}`, () => {
    assert.equal(documentedValue(value), sourceValue(read(path), name), path);
  });
}
