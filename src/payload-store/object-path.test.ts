import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { keyOfEntry, pathOfKey, toBinary } from './object-path.ts';

const parts = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 100 }),
  fc.constantFrom(
    '.',
    '..',
    '',
    '%',
    '%+',
    'a',
    'a.object',
    '.object',
    'x'.repeat(80),
    'x'.repeat(81),
    'é'.repeat(300),
  ),
);
const keys = fc.array(parts, { minLength: 1, maxLength: 4 }).map((list) => list.join('/'));

/** The key that a walk down the path meets. */
function keyOfPath(path: string): string | undefined {
  const names = path.split('/');
  return names.map((name, index) => keyOfEntry(name, index < names.length - 1)).join('');
}

test('every key has a path of its own, below the directory and with names that a file system takes', () => {
  fc.assert(
    fc.property(keys, (key) => {
      const path = pathOfKey(key);
      assert.equal(keyOfPath(path), toBinary(key));
      for (const name of path.split('/')) {
        assert.match(name, /^[A-Za-z0-9%_=@,+-][A-Za-z0-9%._=@,+-]*$/);
        assert(name.length <= 255);
      }
    }),
  );
});

test('an object and a folder of one name do not collide', () => {
  fc.assert(
    fc.property(keys, keys, (key, other) => {
      const below = `${key}/${other}`;
      assert(!pathOfKey(below).startsWith(`${pathOfKey(key)}/`));
      assert.notEqual(pathOfKey(below), pathOfKey(key));
    }),
  );
});

test('ordinary keys stay readable', () => {
  assert.equal(pathOfKey('lift-01/2024/000001.bin'), 'lift-01/2024/000001.bin.object');
  assert.equal(pathOfKey('../é'), '%2E./%C3%A9.object');
});
