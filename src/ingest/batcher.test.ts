import assert from 'node:assert/strict';
import test from 'node:test';
import { Batcher, type BatcherOptions } from './batcher.ts';

/** A batcher whose calls the test answers, one by one, each item with itself. */
function batcherByHand(options: Partial<BatcherOptions<number, number>> = {}) {
  const calls: { items: readonly number[]; answer: (results?: readonly number[]) => void; fail: (e: Error) => void }[] =
    [];
  const batcher = new Batcher<number, number>({
    run: (items) =>
      new Promise((resolve, reject) => {
        calls.push({ items, answer: (results = items) => resolve(results), fail: reject });
      }),
    defer: (task) => queueMicrotask(task),
    itemsMax: 3,
    ...options,
  });
  const itemsOfCalls = async () => {
    await new Promise(setImmediate);
    return calls.map(({ items }) => items);
  };
  return { batcher, calls, itemsOfCalls };
}

test('what is asked for while a call runs is answered by the next one, in its order and within its bound', async () => {
  const { batcher, calls, itemsOfCalls } = batcherByHand();
  const first = batcher.add(1);
  assert.deepEqual(await itemsOfCalls(), [[1]]);
  const rest = [2, 3, 4, 5].map((item) => batcher.add(item));
  assert.deepEqual(await itemsOfCalls(), [[1]]);
  assert.equal(batcher.queued, 4);
  calls[0]?.answer();
  assert.equal(await first, 1);
  assert.deepEqual(await itemsOfCalls(), [[1], [2, 3, 4]]);
  calls[1]?.answer();
  assert.deepEqual(await itemsOfCalls(), [[1], [2, 3, 4], [5]]);
  calls[2]?.answer();
  assert.deepEqual(await Promise.all(rest), [2, 3, 4, 5]);
  assert.equal(batcher.queued, 0);
});

test('a batch stays within its weight, and one item that is heavier than that goes alone', async () => {
  const { batcher, calls, itemsOfCalls } = batcherByHand({ weightMax: 10, weightOf: (item) => item });
  const answers = [6, 4, 1, 50, 2].map((item) => batcher.add(item));
  const batches = [[6, 4], [1], [50], [2]];
  for (const [index] of batches.entries()) {
    assert.deepEqual(await itemsOfCalls(), batches.slice(0, index + 1));
    calls[index]?.answer();
  }
  assert.deepEqual(await Promise.all(answers), [6, 4, 1, 50, 2]);
});

test('as many calls as permitted run at once', async () => {
  const { batcher, calls, itemsOfCalls } = batcherByHand({ itemsMax: 1, callsMax: 2 });
  const answers = [1, 2, 3].map((item) => batcher.add(item));
  assert.deepEqual(await itemsOfCalls(), [[1], [2]]);
  calls[1]?.answer();
  assert.deepEqual(await itemsOfCalls(), [[1], [2], [3]]);
  for (const { answer } of calls) answer();
  await Promise.all(answers);
});

test('a failed call fails its own items, and those that waited behind it are still answered', async () => {
  const { batcher, calls, itemsOfCalls } = batcherByHand({ itemsMax: 2 });
  const settled = Promise.allSettled([1, 2, 3].map((item) => batcher.add(item)));
  await itemsOfCalls();
  calls[0]?.fail(new Error('gone'));
  await itemsOfCalls();
  calls[1]?.answer();
  assert.deepEqual(
    (await settled).map(({ status }) => status),
    ['rejected', 'rejected', 'fulfilled'],
  );
});

test('no item is left waiting when a call answers fewer items than it was asked', async () => {
  const { batcher, calls, itemsOfCalls } = batcherByHand();
  const settled = Promise.allSettled([batcher.add(1), batcher.add(2)]);
  await itemsOfCalls();
  calls[0]?.answer([1]);
  assert.deepEqual(
    (await settled).map(({ status }) => status),
    ['rejected', 'rejected'],
  );
});
