import assert from 'node:assert/strict';
import test from 'node:test';
import { adviceOn } from './advice.ts';

test('a code of a later service, or one named like a property of every object, still gets an answer', () => {
  for (const code of ['brand_new_code', 'constructor', '__proto__']) assert.match(adviceOn(code), /list of errors/);
  assert.match(adviceOn('unknown_device'), /eds device register/);
});
