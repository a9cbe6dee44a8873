/** docs/security.md claims nothing without a test that is there. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import test from 'node:test';

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');

/** A row of a table of threats: letters of STRIDE, and the cell that names its tests. */
type Threat = { readonly letters: readonly string[]; readonly text: string; readonly tests: readonly NamedTest[] };
type NamedTest = { readonly path: string; readonly title: string };

const [, afterHeading = ''] = read('docs/security.md').split('\n## Threats\n');
const boundaries = (afterHeading.split('\n## ')[0] ?? '').split('\n### ').slice(1).map(parseBoundary);

function parseBoundary(section: string): { readonly name: string; readonly threats: readonly Threat[] } {
  const [name = '', ...lines] = section.split('\n');
  const rows = lines.filter((line) => line.startsWith('|')).slice(2);
  return { name, threats: rows.map(parseThreat) };
}

function parseThreat(row: string): Threat {
  const [letters = '', text = '', , shownBy = ''] = row.slice('| '.length, -' |'.length).split(' | ');
  const tests = shownBy.split('<br>').map((named) => {
    const [, path = '', title = ''] = /^`([^`]+)` "(.+)"$/.exec(named) ?? [];
    return { path, title };
  });
  return { letters: letters.split(', '), text, tests };
}

/** How a test is declared: by test, t.test or a function of the file's own whose name ends so; then its title. */
const declaration = /\b(?:\w*[tT]est)\(\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`)/g;

/**
 * Whether the file declares a test of this title. What stands for a template's `${...}` has to stand elsewhere in the file,
 * as the values do that it is filled with: or a title could be made up around the rest.
 */
function declares(source: string, title: string): boolean {
  return Array.from(source.matchAll(declaration)).some(([, single, double, template]) => {
    const literals = (template?.split(/\$\{(?:[^{}]|\{[^{}]*\})*\}/) ?? [single ?? double ?? '']).map(unescaped);
    const values = new RegExp(`^${literals.map(RegExp.escape).join('(.+)')}$`).exec(title)?.slice(1);
    return values?.every((value) => source.includes(value)) === true;
  });
}

const unescaped = (text: string) => text.replace(/\\(.)/g, '$1');

test('every kind of threat of STRIDE is looked at, and those that fit at every boundary', () => {
  assert.ok(boundaries.length >= 7, `only ${boundaries.length} boundaries were read`);
  for (const { name, threats } of boundaries) {
    const letters = new Set(threats.flatMap((threat) => threat.letters));
    for (const letter of ['S', 'T', 'R', 'D']) assert.ok(letters.has(letter), `${name}: nothing is said of ${letter}`);
    assert.deepEqual(
      [...letters].filter((letter) => !/^[STRIDE]$/.test(letter)),
      [],
      name,
    );
  }
  const all = boundaries.flatMap(({ threats }) => threats.flatMap(({ letters }) => letters));
  for (const letter of 'STRIDE') assert.ok(all.includes(letter), letter);
});

for (const { name, threats } of boundaries)
  for (const { text, tests } of threats)
    test(`whoever relies on docs/security.md (${name}) is not told of a test that is gone: ${text}`, () => {
      for (const { path, title } of tests) {
        assert.match(path, /^(src|test)\/.+\.test\.ts$/, 'the row names no test');
        assert.ok(existsSync(new URL(`../${path}`, import.meta.url)), `there is no ${path}`);
        assert.ok(declares(read(path), title), `${path} has no test with the title: ${title}`);
      }
    });

test('a title counts where it is declared, and in a template only with values that are in the file', () => {
  const source = `
    test('plain', () => {});
    t.test("it's", () => {});
    for (const auth of ['required', 'optional']) s3Test(\`where it is \${auth ? auth : ''}, it is checked\`, () => {});
    // 'not a test'
  `;
  for (const title of ['plain', "it's", 'where it is required, it is checked'])
    assert.ok(declares(source, title), title);
  for (const title of ['plain ', 'not a test', 'where it is forgotten, it is checked'])
    assert.ok(!declares(source, title), title);
});
