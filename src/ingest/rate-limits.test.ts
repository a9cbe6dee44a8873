import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RateLimits, type RateLimitsOptions, sourceOf } from './rate-limits.ts';

function setUp(rates: Partial<RateLimitsOptions>) {
  const clock = { nowMs: 0 };
  const none = { source: undefined, device: undefined, pod: undefined, refused: undefined };
  return { clock, limits: new RateLimits({ ...none, ...rates, now: () => clock.nowMs }) };
}

const [here, there] = ['192.0.2.1', '192.0.2.2'];

test('without limits nothing is held up', () => {
  const { limits } = setUp({});
  for (let i = 0; i < 1000; i++) {
    limits.chargeDevice('lift-01');
    limits.chargeRefusal(here);
    assert.equal(limits.take(here) ?? limits.device('lift-01'), undefined);
  }
});

test('a source that is too fast is told for how long, and nobody else is', () => {
  const { limits, clock } = setUp({ source: { perSecond: 10, burst: 2 } });
  assert.deepEqual([limits.take(here), limits.take(here)], [undefined, undefined]);
  assert.deepEqual(limits.take(here), { limit: 'source', waitMs: 100 });
  assert.equal(limits.take(there), undefined);
  clock.nowMs = 100;
  assert.equal(limits.take(here), undefined);
});

test('a source that is refused takes nothing of the pod, and the other way round', () => {
  const { limits, clock } = setUp({ source: { perSecond: 1, burst: 1 }, pod: { perSecond: 1, burst: 2 } });
  assert.equal(limits.take(here), undefined);
  for (let i = 0; i < 10; i++) assert.equal(limits.take(here)?.limit, 'source');
  assert.equal(limits.take(there), undefined);
  for (let i = 0; i < 10; i++) assert.equal(limits.take('192.0.2.3')?.limit, 'pod');
  clock.nowMs = 1000;
  assert.equal(limits.take('192.0.2.3'), undefined);
});

test('a sender without an address counts for the pod alone', () => {
  const one = { perSecond: 1, burst: 1 };
  const { limits } = setUp({ source: one, pod: { perSecond: 1, burst: 3 }, refused: one });
  for (let i = 0; i < 5; i++) limits.chargeRefusal(undefined);
  for (let i = 0; i < 3; i++) assert.equal(limits.take(undefined), undefined);
  assert.deepEqual(limits.take(undefined), { limit: 'pod', waitMs: 1000 });
});

test('who had too much refused waits, whatever is left of the rate, until that has recovered', () => {
  const { limits, clock } = setUp({ refused: { perSecond: 1, burst: 3 } });
  for (let i = 0; i < 3; i++) {
    assert.equal(limits.take(here), undefined);
    limits.chargeRefusal(here);
  }
  assert.deepEqual(limits.take(here), { limit: 'refused', waitMs: 1000 });
  assert.equal(limits.take(there), undefined);
  clock.nowMs = 1000;
  assert.equal(limits.take(here), undefined);
});

test('asking after a device takes nothing; only what it has signed does', () => {
  const { limits } = setUp({ device: { perSecond: 1, burst: 2 } });
  for (let i = 0; i < 10; i++) assert.equal(limits.device('lift-01'), undefined);
  limits.chargeDevice('lift-01');
  assert.equal(limits.device('lift-01'), undefined);
  limits.chargeDevice('lift-01');
  assert.deepEqual(limits.device('lift-01'), { limit: 'device', waitMs: 1000 });
  assert.equal(limits.device('lift-02', 1), undefined);
  assert.deepEqual(limits.device('lift-02', 2), { limit: 'device', waitMs: 1000 });
  assert.equal(limits.device('lift-02'), undefined);
});

test('an IPv6 host cannot multiply its rate with the addresses of its own /64', () => {
  for (const [address, source] of [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2::1', '2001:db8:1:2::/64'],
    ['2001:0DB8:1:2:ffff:ffff:ffff:ffff', '2001:db8:1:2::/64'],
    ['2001:db8:1:3::1', '2001:db8:1:3::/64'],
    ['2001:db8::1:2:3:4:5', '2001:db8:0:1::/64'],
    ['2001:db8::2', '2001:db8:0:0::/64'],
    ['1:2:3:4:5:6:7::', '1:2:3:4::/64'],
    ['::2:3:4:5:6:7:8', '0:2:3:4::/64'],
    ['64:ff9b:1:2::192.0.2.1', '64:ff9b:1:2::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
  ] as const)
    assert.equal(sourceOf(address), source, address);
});
