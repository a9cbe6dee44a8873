import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseAltNames } from './identity.ts';

test('a quoted name is one name, whatever it looks like', () => {
  fc.assert(
    fc.property(fc.array(fc.string(), { minLength: 1 }), (names) => {
      const text = names.map((name) => `DNS:${JSON.stringify(name)}`).join(', ');
      assert.deepEqual(parseAltNames(text), names);
    }),
  );
});

test('names of other kinds are passed over', () => {
  const text = 'IP Address:192.0.2.7, DNS:lift-01, email:a@example.com, DirName:"CN = a, DNS:b", URI:urn:dev:lift-01';
  assert.deepEqual(parseAltNames(text), ['lift-01', 'urn:dev:lift-01']);
  assert.deepEqual(parseAltNames(''), []);
});

test('text of any other form names nobody, and does not throw', () => {
  for (const text of ['DNS:"a', 'DNS:a"b"', 'DNS', 'DNS:a,DNS:b', 'DNS:a, ', 'DNS:"\\x"', ', DNS:a', 'DNS:"a"b'])
    assert.equal(parseAltNames(text), undefined, text);
  fc.assert(fc.property(fc.string(), (text) => void parseAltNames(text)));
});
