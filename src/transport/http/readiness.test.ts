import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HealthCheck, Readiness } from './readiness.ts';

const ok: HealthCheck = { name: 'ledger', check: async () => {} };
const noSuchBucket: HealthCheck = {
  name: 'payload_store',
  check: async () => {
    throw new Error('no such bucket: audit');
  },
};
const never = () => false;

test('a pod without its object store gets no traffic and says what is missing', async () => {
  const readiness = new Readiness({ checks: [ok, noSuchBucket], draining: never });
  assert.deepEqual(await readiness.report(), {
    status: 'not_ready',
    checks: [
      { name: 'ledger', status: 'ok' },
      { name: 'payload_store', status: 'failed', error: 'no such bucket: audit' },
    ],
  });
  assert.equal(await readiness.hasStarted(), false);
});

test('a flood of probes costs one round of checks a second', async () => {
  let nowMs = 0;
  let calls = 0;
  const check = async () => void calls++;
  const readiness = new Readiness({ checks: [{ name: 'ledger', check }], draining: never, now: () => nowMs });
  await Promise.all(Array.from({ length: 100 }, () => readiness.report()));
  nowMs = 999;
  await readiness.report();
  assert.equal(calls, 1);
  nowMs = 1000;
  await Promise.all(Array.from({ length: 100 }, () => readiness.report()));
  assert.equal(calls, 2);
});

test('a check that hangs fails in time and is not started again on top of itself', async () => {
  let nowMs = 0;
  let calls = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  const check = () => {
    calls++;
    return promise;
  };
  const options = { checks: [{ name: 'ledger', check }], draining: never, now: () => nowMs, checkTimeoutMs: 5 };
  const readiness = new Readiness(options);
  const failed = { name: 'ledger', status: 'failed', error: 'no answer within 5 ms' };
  assert.deepEqual((await readiness.report()).checks, [failed]);
  nowMs = 1000;
  assert.deepEqual((await readiness.report()).checks, [failed]);
  assert.equal(calls, 1);
  resolve();
  nowMs = 2000;
  await promise;
  assert.equal((await readiness.report()).status, 'ready');
});

test('draining counts at once, whatever was true a moment ago, and is not a new start', async () => {
  let draining = false;
  const readiness = new Readiness({ checks: [ok], draining: () => draining, now: () => 0 });
  assert.equal((await readiness.report()).status, 'ready');
  draining = true;
  assert.equal((await readiness.report()).status, 'draining');
  assert.equal(await readiness.hasStarted(), true);
});
