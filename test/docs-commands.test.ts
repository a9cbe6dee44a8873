/** What README.md and docs/ tell a reader to type, open or look up is there. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'node:test';
import packageJson from '../package.json' with { type: 'json' };
import { eds } from './support/command-line.ts';

const root = join(import.meta.dirname, '..');
const pages = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
].map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));

type Found = { readonly path: string; readonly text: string };

/** Every match's first group once for each page that it is on. */
function occurrences(pattern: RegExp): Found[] {
  return pages.flatMap(({ path, text }) => {
    const matches = text.replaceAll('\\\n', ' ').matchAll(pattern);
    return [...new Set(Array.from(matches, ([, found = '']) => found.trim()))].map((found) => ({ path, text: found }));
  });
}

/** Command lines of `eds`, from its name on: at the start of a line of a code block, behind `$(` or in a code span. */
const commandLines = occurrences(
  /(?:^|`|\$\()(?:[A-Z_]+=\S+ )*(?:npm run (?:-s )?eds -- |npx eds |eds )(?! \|)([^`\n|)#]+)/gm,
).filter(({ text }) => /^[a-z-]/.test(text));

/** The help of the subcommand that leads `words`, and the names that lead to it. */
async function helpOf(words: readonly string[]): Promise<{ readonly help: string; readonly names: string[] }> {
  let help = (await eds(['--help'])).stdout;
  const names: string[] = [];
  for (const word of words) {
    const commands = help.split('\nCommands:\n')[1] ?? '';
    if (!new RegExp(`^ {2}${word}( |$)`, 'm').test(commands)) break;
    names.push(word);
    help = (await eds([...names, '--help'])).stdout;
  }
  return { help, names };
}

/** Names that stand for any command or any flags. */
const placeholders = /^([A-Z]+|\.\.\.)$/;

test('the docs show command lines of eds', () => {
  assert.ok(commandLines.length > 20, `only ${commandLines.length} were found`);
});

for (const { path, text } of commandLines) {
  test(`whoever copies "eds ${text}" from ${path} gets no usage error`, async () => {
    const words = text.split(/\s+/);
    if (placeholders.test(words[0] ?? '')) return;
    const { help, names } = await helpOf(words);
    const [next = ''] = words.slice(names.length);
    const isGroup = help.includes('\nCommands:\n');
    assert.ok(names.length > 0, `there is no command ${words[0]}`);
    assert.ok(!isGroup || next === '' || placeholders.test(next), `eds ${names.join(' ')} has no command ${next}`);
    const flags = words.filter((word) => /^--?[a-z]/.test(word));
    const unknown = flags.filter((flag) => !new RegExp(`(^|[ ,])${flag}[ ,]`, 'm').test(help));
    assert.deepEqual(unknown, []);
  });
}

test('every npm script that the docs name exists', () => {
  const named = [
    ...occurrences(/\bnpm run (?:-s |--silent )?([a-z][a-z0-9:]*)/g),
    ...occurrences(/\bnpm (start|test)\b/g),
  ];
  assert.ok(named.length > 5, `only ${named.length} were found`);
  assert.deepEqual(
    named.filter(({ text }) => !(text in packageJson.scripts)),
    [],
  );
});

test('every link within the docs leads to a file, and to a heading of it', () => {
  const links = occurrences(/\]\((?![a-z]+:)([^)\s]+)\)/g);
  assert.ok(links.length > 20, `only ${links.length} were found`);
  const broken = links.filter(({ path, text }) => {
    const [file = '', anchor] = text.split('#');
    const target = file === '' ? path : join(dirname(path), file);
    if (!existsSync(join(root, target))) return true;
    return anchor !== undefined && !anchorsOf(readFileSync(join(root, target), 'utf8')).has(anchor);
  });
  assert.deepEqual(broken, []);
});

/** As GitHub makes them of headings. */
function anchorsOf(text: string): Set<string> {
  const headings = text.matchAll(/^#+ (.+)$/gm);
  const anchor = (heading: string) =>
    heading
      .toLowerCase()
      .replaceAll(/[^a-z0-9 _-]/g, '')
      .replaceAll(' ', '-');
  return new Set([...headings].map(([, heading = '']) => anchor(heading)));
}

test('every file of the source that the docs name is there', () => {
  const named = occurrences(/`((?:src|test|migrations|docs|bench|dev)\/[\w./-]*)`/g);
  assert.ok(named.length > 20, `only ${named.length} were found`);
  assert.deepEqual(
    named.filter(({ text }) => !existsSync(join(root, text))),
    [],
  );
});
