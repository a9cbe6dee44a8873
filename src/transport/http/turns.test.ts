import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turnEnds } from 'node:timers/promises';
import { begunPerTurnMax, lineMax, refusedPerTurnMax, Turns } from './turns.ts';

/** `count` tasks, each of which writes its number down. */
function takeAll(count: number) {
  const turns = new Turns();
  const begun: number[] = [];
  const refused: number[] = [];
  const take = (number: number) =>
    turns.take(
      () => begun.push(number),
      () => refused.push(number),
    );
  for (let number = 0; number < count; number++) take(number);
  return { begun, refused, take };
}

const upTo = (count: number) => Array.from({ length: count }, (_, number) => number);

test('a few requests begin at once', () => {
  assert.equal(takeAll(begunPerTurnMax).begun.length, begunPerTurnMax);
});

test('a crowd of requests leaves what waits for stores its turns, and each request gets its own in order', async () => {
  const count = 3 * begunPerTurnMax + 1;
  const { begun } = takeAll(count);
  for (const turns of [1, 2, 3]) {
    assert.deepEqual(begun, upTo(turns * begunPerTurnMax));
    await turnEnds();
  }
  assert.deepEqual(begun, upTo(count));
});

test('whoever finds the line full is refused, and that holds up nobody in the line', async () => {
  const room = begunPerTurnMax + lineMax;
  const { begun, refused } = takeAll(room + refusedPerTurnMax + 1);
  assert.equal(refused.length, 0);
  await turnEnds();
  assert.deepEqual(
    refused,
    upTo(refusedPerTurnMax).map((number) => room + number),
  );
  assert.equal(begun.length, 2 * begunPerTurnMax);
  while (begun.length < room) await turnEnds();
  assert.deepEqual(begun, upTo(room));
  assert.equal(refused.length, refusedPerTurnMax + 1);
});

test('after a crowd, a request begins at once again', async () => {
  const { begun, take } = takeAll(2 * begunPerTurnMax);
  for (let turn = 0; turn < 3; turn++) await turnEnds();
  take(-1);
  assert.equal(begun.at(-1), -1);
});

test('a sender that awaits no answers cannot make requests pile up: past a bound they are refused at once', () => {
  const { refused } = takeAll(begunPerTurnMax + lineMax + 10_001);
  assert.equal(refused.length, 1);
});
