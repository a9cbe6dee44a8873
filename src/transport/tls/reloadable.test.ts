import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Load, Reloadable } from './reloadable.ts';

test('a fault that nobody foresaw is a refusal that quotes nothing, and the next look is like any other', async () => {
  const looks: (() => ReturnType<Load<string>>)[] = [
    () => Promise.reject(new RangeError('what was read')),
    async () => ({ value: 'second', digest: '2' }),
  ];
  const load: Load<string> = () => looks.shift()?.() ?? Promise.reject(new Error('one look too many'));
  const reloadable = new Reloadable(load, { value: 'first', digest: '1' });
  const refused = await reloadable.look(0, 'asked');
  assert.ok(refused.outcome === 'refused' && refused.tell);
  assert.match(refused.reason, /cannot be judged \(RangeError\)/);
  assert.equal(reloadable.value, 'first');
  assert.deepEqual(await reloadable.look(0, 'patient'), { outcome: 'swapped' });
  assert.equal(reloadable.value, 'second');
});
