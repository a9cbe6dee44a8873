import assert from 'node:assert/strict';
import test from 'node:test';
import { ledgerIntegerMax } from '../record/record.ts';
import { clockSkewOf } from './clock-skew.ts';

const toleranceMs = 300_000;

test('a clock is flagged past the tolerance either way, and not at it', () => {
  const skew = (ms: number) => clockSkewOf(10_000_000 + ms, 10_000_000n, toleranceMs);
  assert.deepEqual(skew(toleranceMs), { ms: 300_000n, flagged: false });
  assert.deepEqual(skew(-toleranceMs), { ms: -300_000n, flagged: false });
  assert.deepEqual(skew(toleranceMs + 1), { ms: 300_001n, flagged: true });
  assert.deepEqual(skew(-toleranceMs - 1), { ms: -300_001n, flagged: true });
});

test('whatever time a record may name, its skew is exact and fits the ledger', () => {
  const arrivedMs = 1_700_000_000_000.75;
  for (const timestampMs of [0n, ledgerIntegerMax, ledgerIntegerMax - 1n, 2n ** 53n + 1n]) {
    const { ms, flagged } = clockSkewOf(arrivedMs, timestampMs, toleranceMs);
    assert.equal(ms + timestampMs, 1_700_000_000_000n);
    assert.equal(BigInt.asIntN(64, ms), ms);
    assert.equal(flagged, true);
  }
});
