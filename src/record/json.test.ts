import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { ExactNumber, JsonError, type JsonValue, parseJson } from './json.ts';

/** What JSON.parse would have made of it, objects as maps: the digits that JSON.parse rounds away are rounded away. */
function rounded(value: JsonValue): unknown {
  if (value instanceof ExactNumber) return Number(value.source);
  if (Array.isArray(value)) return value.map(rounded);
  return value instanceof Map ? new Map([...value].map(([key, member]) => [key, rounded(member)])) : value;
}

function asMaps(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(asMaps);
  if (typeof value !== 'object' || value === null) return value;
  return new Map(Object.entries(value).map(([key, member]) => [key, asMaps(member)]));
}

function outcome<T>(parse: () => T): { value: T } | { error: string } {
  try {
    return { value: parse() };
  } catch (error) {
    if (error instanceof JsonError || error instanceof SyntaxError) return { error: error.message };
    throw error;
  }
}

/** What this reader refuses on purpose although it is JSON. */
const stricter = /stands twice|lone surrogate|levels of nesting|more than 64 characters/;

function agreesWithJsonParse(text: string): void {
  const ours = outcome(() => parseJson(text));
  const theirs = outcome(() => JSON.parse(text) as unknown);
  if ('value' in ours && 'value' in theirs) assert.deepEqual(rounded(ours.value), asMaps(theirs.value));
  else if ('error' in ours && 'value' in theirs) assert.match(ours.error, stricter);
  else assert.ok('error' in ours, 'accepted what JSON.parse refuses');
}

const document = fc.jsonValue({ maxDepth: 7, stringUnit: 'binary' });

test('every JSON document that a device may send is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(document, fc.constantFrom(0, 2, '\t'), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      assert.deepEqual(rounded(parseJson(text)), asMaps(JSON.parse(text)));
    }),
    { numRuns: 500 },
  );
});

test('a damaged document is refused wherever JSON.parse refuses it, and means the same wherever it does not', () => {
  const damage = fc.tuple(document, fc.nat(), fc.string({ unit: 'binary', maxLength: 3 }), fc.nat(3));
  fc.assert(
    fc.property(damage, ([value, position, inserted, dropped]) => {
      const text = JSON.stringify(value);
      const at = position % (text.length + 1);
      agreesWithJsonParse(text.slice(0, at) + inserted + text.slice(at + dropped));
    }),
    { numRuns: 2_000 },
  );
});

test('so is any heap of tokens', () => {
  const punctuation = ['{', '}', '[', ']', ',', ':', ' ', '\n', '\t', '\r', '\u00a0', '\ufeff', '"', '\\', '/'];
  const scalars = ['"a"', '"b"', '"\\u00e9\\n"', '"\\ud83d\\ude00"', '"\\x"', 'true', 'false', 'null', 'nul', 'NaN'];
  const numbers = ['0', '-0', '01', '-', '1.', '.5', '1.50', '1e5', '1E+05', '1e', '9007199254740993', '1e400', '+1'];
  const token = fc.constantFrom(...punctuation, ...scalars, ...numbers);
  const heap = fc.array(token, { maxLength: 12 }).map((tokens) => tokens.join(''));
  const bracketed = heap.chain((text) => fc.constantFrom(text, `[${text}]`, `{"k":${text}}`, `"${text}"`));
  fc.assert(fc.property(bracketed, agreesWithJsonParse), { numRuns: 5_000 });
});

test('a number keeps every digit that was sent', () => {
  const exact = ['9007199254740992', '9007199254740993', '18446744073709551615', '1e400', '0.5', '-0', '1.0', '1e3'];
  for (const source of exact) assert.deepEqual(parseJson(source), new ExactNumber(source));
  for (const source of ['0', '-1', '9007199254740991']) assert.equal(parseJson(source), Number(source));
});

const refusedText: readonly [string, string, RegExp][] = [
  ['one of two equal keys would be dropped', '{"a":1,"b":2,"a":1}', /^the key "a" stands twice/],
  ['an escape hides that two keys are equal', '{"a":1,"\\u0061":1}', /^the key "a" stands twice/],
  ['an escaped lone surrogate has no UTF-8', '"\\ud800"', /^a lone surrogate/],
  ['a raw lone surrogate has no UTF-8', '"\udc00\ud800"', /^a lone surrogate/],
  ['a lone surrogate in a key has no UTF-8', '{"\\udfff":1}', /^a lone surrogate/],
  ['nine levels are deeper than any envelope', `${'['.repeat(9)}${']'.repeat(9)}`, /^more than 8 levels of nesting/],
  ['no 64-bit number has so many digits', '1'.repeat(65), /^a number of more than 64 characters/],
  ['nothing was sent', '', /^the JSON ends too early at character 1$/],
  ['two documents are not one', '{} {}', /^unexpected text after the JSON value at character 4$/],
];

for (const [reason, text, message] of refusedText) {
  test(`refused, because ${reason}`, () => assert.throws(() => parseJson(text), { name: 'JsonError', message }));
}

test('members named like those of Object.prototype are ordinary members', () => {
  const value = parseJson('{"__proto__":1,"constructor":2,"toString":3}');
  assert.deepEqual(value, new Map(Object.entries({ ['__proto__']: 1, constructor: 2, toString: 3 })));
});
