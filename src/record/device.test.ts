import assert from 'node:assert/strict';
import test from 'node:test';
import { vectorKey } from '../../test/vectors/records.ts';
import { type DeviceKey, deviceIdFault, keyCountsAt } from './device.ts';

const key = (window: Partial<DeviceKey>): DeviceKey => ({
  scheme: 'payload-v1',
  publicKey: vectorKey.publicKey,
  validFromMs: 1_000,
  validUntilMs: undefined,
  revokedAtMs: undefined,
  ...window,
});

test('a key counts from its first millisecond until its end or its revocation, whichever comes first', () => {
  const ends: readonly [Partial<DeviceKey>, number][] = [
    [{}, Number.MAX_SAFE_INTEGER],
    [{ validUntilMs: 2_000 }, 2_000],
    [{ revokedAtMs: 2_000 }, 2_000],
    [{ validUntilMs: 2_000, revokedAtMs: 3_000 }, 2_000],
    [{ validUntilMs: 3_000, revokedAtMs: 2_000 }, 2_000],
  ];
  for (const [window, endMs] of ends) {
    assert.equal(keyCountsAt(key(window), 999), false);
    assert.equal(keyCountsAt(key(window), 1_000), true);
    assert.equal(keyCountsAt(key(window), endMs - 1), true);
  }
  for (const [window, endMs] of ends.slice(1)) assert.equal(keyCountsAt(key(window), endMs), false);
});

test('slack widens the window by as much at both ends', () => {
  const window = key({ validUntilMs: 2_000 });
  assert.deepEqual(
    [899, 900, 2_099, 2_100].map((atMs) => keyCountsAt(window, atMs, 100)),
    [false, true, true, false],
  );
});

test('no device can be registered whose objects would lie among those of the service or of another device', () => {
  for (const id of ['records', 'segments', 'records/x', 'segments/x'])
    assert.match(deviceIdFault(id) ?? '', /reserved/);
  for (const id of ['', '/', '/a', 'a/', 'a//b', '.', '..', 'a/./b', 'a/../b']) {
    assert.match(deviceIdFault(id) ?? '', /no empty part/, id);
  }
  for (const id of ['lift-01', 'site/lift-01', 'a..b', '...', 'records-1', 'x/records']) {
    assert.equal(deviceIdFault(id), undefined, id);
  }
});
