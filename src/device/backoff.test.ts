import assert from 'node:assert/strict';
import test from 'node:test';
import { Backoff } from './backoff.ts';

const signal = new AbortController().signal;

/** A backoff that notes its waits instead of waiting. */
function noting(attempts: number, random: number) {
  const waits: number[] = [];
  const sleep = async (ms: number) => void waits.push(ms);
  return { waits, backoff: new Backoff({ attempts, signal, sleep, random: () => random }) };
}

test('waits double up to a bound, so that a long outage is neither hammered nor slept through', async () => {
  const { waits, backoff } = noting(12, 1);
  while (await backoff.wait());
  assert.deepEqual(waits, [200, 400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000, 15_000, 15_000]);
});

test('no wait is shorter than the service asked for, within reason', async () => {
  const { waits, backoff } = noting(10, 0);
  await backoff.wait(5000);
  await backoff.wait(3_600_000);
  assert.deepEqual(waits, [5000, 60_000]);
});

test('progress gives the attempts back', async () => {
  const { waits, backoff } = noting(2, 1);
  assert.equal(await backoff.wait(), true);
  backoff.reset();
  assert.equal(await backoff.wait(), true);
  assert.equal(await backoff.wait(), false);
  assert.deepEqual(waits, [200, 200]);
});
