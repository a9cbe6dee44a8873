import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Rate, TokenBucket, TokenBuckets } from './token-bucket.ts';

const rates = fc.record({
  perSecond: fc.double({ min: 0.1, max: 10_000, noNaN: true }),
  burst: fc.integer({ min: 1, max: 50 }),
});
/** A day of uptime, and the time since 1970: sums are less exact there. */
const starts = fc.constantFrom(0, 86_400_000.125, 1_795_000_000_000.5);
/** From several at one moment to a long pause. */
const pauses = fc.array(fc.oneof(fc.constant(0), fc.double({ min: 0, max: 3000, noNaN: true })), { maxLength: 60 });

test('no window has more than the burst and what the rate adds in it', () => {
  fc.assert(
    fc.property(rates, starts, pauses, (rate, startMs, waits) => {
      const bucket = new TokenBucket(rate);
      const taken: number[] = [];
      let nowMs = startMs;
      for (const waitMs of waits) {
        nowMs += waitMs;
        if (bucket.take(nowMs) === 0) taken.push(nowMs);
      }
      for (const [first, fromMs] of taken.entries())
        for (const [last, toMs] of taken.entries())
          if (last >= first) {
            // The bucket's own rounding, once a window, and that of sums.
            const most = rate.burst + (rate.perSecond * (toMs - fromMs + 0.01)) / 1000;
            assert.ok(last - first + 1 <= most, `${last - first + 1} in ${toMs - fromMs} ms, at most ${most}`);
          }
    }),
  );
});

test('after the wait that it states a token is there, and a millisecond before it was not', () => {
  fc.assert(
    fc.property(rates, starts, fc.integer({ min: 0, max: 150 }), (rate, nowMs, charges) => {
      const bucket = new TokenBucket(rate);
      for (let i = 0; i < charges; i++) bucket.charge(nowMs);
      const waitMs = bucket.waitMs(nowMs);
      assert.equal(waitMs === 0, charges < rate.burst);
      if (waitMs > 1) assert.notEqual(bucket.waitMs(nowMs + waitMs - 1.01), 0);
      assert.equal(bucket.take(nowMs + waitMs), 0);
    }),
  );
});

test('a sender that keeps to the rate is never held up, burst or not', () => {
  fc.assert(
    fc.property(rates, starts, (rate, startMs) => {
      const bucket = new TokenBucket(rate);
      // Half a percent below it: since 1970, a tenth of a millisecond is that inexact.
      for (let i = 0; i < 200; i++) assert.equal(bucket.take(startMs + (i * 1005) / rate.perSecond), 0);
    }),
  );
});

test('what is charged afterwards is owed, but nobody waits for longer than two bursts take to refill', () => {
  const rate: Rate = { perSecond: 10, burst: 5 };
  const bucket = new TokenBucket(rate);
  for (let i = 0; i < 7; i++) bucket.charge(0);
  assert.equal(bucket.waitMs(0), 300);
  for (let i = 0; i < 1000; i++) bucket.charge(0);
  assert.equal(bucket.waitMs(0), 600);
  assert.equal(bucket.waitMs(600), 0);
});

test('a clock that is set back gives nothing away and locks nobody out', () => {
  fc.assert(
    fc.property(rates, fc.double({ min: 0, max: 1e12, noNaN: true }), (rate, backMs) => {
      const bucket = new TokenBucket(rate);
      const startMs = 1_795_000_000_000;
      while (bucket.take(startMs) === 0);
      const nowMs = startMs - backMs;
      assert.notEqual(bucket.take(nowMs), 0);
      assert.equal(bucket.take(nowMs + Math.ceil((2000 * rate.burst) / rate.perSecond)), 0);
    }),
  );
});

test('each key has a bucket of its own, as full as any other at first', () => {
  const buckets = new TokenBuckets({ perSecond: 1, burst: 2 }, 10);
  buckets.charge('a', 0);
  assert.deepEqual([buckets.waitMs('a', 0), buckets.waitMs('a', 0, 2)], [0, 1000]);
  assert.deepEqual([buckets.waitMs('b', 0), buckets.waitMs('b', 0, 2), buckets.waitMs('b', 0, 3)], [0, 0, 1000]);
});

test('however many keys there are, those in debt that go on asking are not forgotten, and the others have an end', () => {
  const buckets = new TokenBuckets({ perSecond: 1, burst: 1 }, 10);
  buckets.charge('flooder', 0);
  buckets.charge('gone', 0);
  for (let i = 0; i < 100; i++) {
    buckets.charge(`other ${i}`, 0);
    assert.equal(buckets.waitMs('flooder', 0), 1000);
  }
  assert.equal(buckets.waitMs('gone', 0), 0);
  const remembered = Array.from({ length: 100 }, (_, i) => buckets.waitMs(`other ${i}`, 0) > 0).filter(Boolean).length;
  assert.ok(remembered <= 10, `${remembered} are remembered`);
});
