import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import test from 'node:test';
import { mapAhead } from './map-ahead.ts';

test('results come in the order of their items, with no more in the making than allowed', async () => {
  let running = 0;
  let most = 0;
  const items = Readable.from(Array.from({ length: 20 }, (_, index) => index));
  const results = mapAhead(items, 4, async (item) => {
    most = Math.max(most, ++running);
    // Later items are done sooner.
    for (let turn = item; turn < 20; turn++) await undefined;
    running--;
    return item;
  });
  assert.deepEqual(
    await Array.fromAsync(results),
    Array.from({ length: 20 }, (_, index) => index),
  );
  assert.equal(most, 4);
});

test('a failure comes in its turn: what was before it is not lost', async () => {
  const seen: number[] = [];
  const failing = async () => {
    for await (const result of mapAhead(Readable.from([1, 2, 3]), 3, async (item) => {
      if (item === 2) throw new Error('store down');
      return item;
    }))
      seen.push(result);
  };
  await assert.rejects(failing, /store down/);
  assert.deepEqual(seen, [1]);
});
