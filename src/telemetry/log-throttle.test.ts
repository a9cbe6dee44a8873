import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LogThrottle } from './log-throttle.ts';

test('an outage writes one line an interval and says how many it stands for', () => {
  let nowMs = 0;
  const throttle = new LogThrottle(1000, () => nowMs);
  assert.equal(throttle.admit('ledger'), 0);
  for (nowMs = 1; nowMs < 1000; nowMs++) assert.equal(throttle.admit('ledger'), undefined);
  assert.equal(throttle.admit('ledger'), 999);
  assert.equal(throttle.admit('ledger'), undefined);
});

test('a noisy kind of failure does not hide another', () => {
  const throttle = new LogThrottle(1000, () => 0);
  throttle.admit('ledger');
  assert.equal(throttle.admit('ledger'), undefined);
  assert.equal(throttle.admit('payload_store'), 0);
});
