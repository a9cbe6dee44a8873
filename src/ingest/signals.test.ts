import assert from 'node:assert/strict';
import test from 'node:test';
import { Signals } from './signals.ts';

/** A clock whose sleeps end when the test says so. */
function manualClock() {
  const sleeps: { ms: number; end: () => void }[] = [];
  const sleep = (ms: number) => new Promise<void>((end) => sleeps.push({ ms, end }));
  return { sleep, sleeps };
}

test('everybody who waits for a topic wakes at its next change, and nobody else', async () => {
  const signals = new Signals(manualClock());
  const woken: string[] = [];
  const waits = ['a', 'a', 'b'].map((topic, index) =>
    signals.wait(topic, 1000).then(() => woken.push(`${topic}${index}`)),
  );
  signals.notify('a');
  await Promise.all(waits.slice(0, 2));
  assert.deepEqual(woken, ['a0', 'a1']);
  signals.notify('b');
  await Promise.all(waits);
  assert.deepEqual(woken, ['a0', 'a1', 'b2']);
});

test('a wait ends by itself after its time when nothing changes', async () => {
  const clock = manualClock();
  const waiting = new Signals(clock).wait('a', 250);
  assert.deepEqual(
    clock.sleeps.map(({ ms }) => ms),
    [250],
  );
  for (const { end } of clock.sleeps) end();
  await waiting;
});

test('a change before the wait does not end it', async () => {
  const clock = manualClock();
  const signals = new Signals(clock);
  signals.notify('a');
  let over = false;
  const waiting = signals.wait('a', 1).then(() => {
    over = true;
  });
  await new Promise(setImmediate);
  assert.equal(over, false);
  signals.notify('a');
  await waiting;
});
