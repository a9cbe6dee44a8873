import assert from 'node:assert/strict';
import test from 'node:test';
import { UsageError } from './command.ts';
import { duration, isoTime } from './times.ts';

test('a time without its offset is refused: it would mean another moment on another machine', () => {
  assert.equal(isoTime('2026-01-31T12:00:00+01:00', '--valid-from').toISOString(), '2026-01-31T11:00:00.000Z');
  for (const text of ['2026-01-31T12:00:00', '2026-01-31', '2026-13-31T12:00:00Z', '1769860800000', 'tomorrow', ''])
    assert.throws(() => isoTime(text, '--valid-from'), UsageError, text);
});

test('a duration needs its unit: a bare number could be anything', () => {
  assert.deepEqual(
    ['90s', '15m', '24h', '7d', '0s'].map((text) => duration(text, '--overlap')),
    [90_000, 900_000, 86_400_000, 604_800_000, 0],
  );
  for (const text of ['24', '', 'h', '-1h', '1.5h', '1w', '1 h', '9999999d'])
    assert.throws(() => duration(text, '--overlap'), UsageError, text);
});
