import assert from 'node:assert/strict';
import test from 'node:test';
import { sampleRecord, vectorKey } from '../../test/vectors/records.ts';
import { clockSlackMs } from '../audit/author-mismatch.ts';
import { type DeviceKey, deviceIdFault, earlyStartMs, keyCountsAt } from './device.ts';
import { formatRecord } from './format.ts';
import { ParseError, parseRecord } from './parse.ts';

const key = (window: Partial<DeviceKey>): DeviceKey => ({
  scheme: 'payload-v1',
  publicKey: vectorKey.publicKey,
  validFromMs: 10_000,
  validUntilMs: undefined,
  revokedAtMs: undefined,
  ...window,
});

test('a key counts from just before its first millisecond until its end or its revocation, whichever comes first', () => {
  const ends: readonly [Partial<DeviceKey>, number][] = [
    [{}, Number.MAX_SAFE_INTEGER],
    [{ validUntilMs: 20_000 }, 20_000],
    [{ revokedAtMs: 20_000 }, 20_000],
    [{ validUntilMs: 20_000, revokedAtMs: 30_000 }, 20_000],
    [{ validUntilMs: 30_000, revokedAtMs: 20_000 }, 20_000],
  ];
  for (const [window, endMs] of ends) {
    assert.equal(keyCountsAt(key(window), 4_999), false);
    assert.equal(keyCountsAt(key(window), 5_000), true);
    assert.equal(keyCountsAt(key(window), 10_000), true);
    assert.equal(keyCountsAt(key(window), endMs - 1), true);
  }
  for (const [window, endMs] of ends.slice(1)) assert.equal(keyCountsAt(key(window), endMs), false);
});

test('slack widens the window by as much at both ends', () => {
  const window = key({ validUntilMs: 20_000 });
  assert.deepEqual(
    [3_999, 4_000, 25_999, 26_000].map((atMs) => keyCountsAt(window, atMs, 6_000)),
    [false, true, true, false],
  );
});

test('a pod whose clock is behind takes what a device just registered sends', () => {
  assert.equal(keyCountsAt(key({ validFromMs: 10_000 }), 10_000 - earlyStartMs), true);
  assert.ok(earlyStartMs < clockSlackMs, 'the audit would call it a break');
});

test('no device can be registered whose objects would lie among those of the service or of another device', () => {
  for (const id of ['records', 'segments', 'records/x', 'segments/x'])
    assert.match(deviceIdFault(id) ?? '', /reserved/);
  for (const id of ['/', '/a', 'a/', 'a//b', '.', '..', 'a/./b', 'a/../b']) {
    assert.match(deviceIdFault(id) ?? '', /no empty part/, id);
  }
  for (const id of ['lift-01', 'a'.repeat(255), 'site/lift-01', 'a..b', '...', 'records-1', 'x/records']) {
    assert.equal(deviceIdFault(id), undefined, id);
  }
});

test('no device can be registered under an id that ingest refuses in every one of its records', () => {
  const ids = ['', 'a'.repeat(256), 'ü'.repeat(128), 'a\tb', 'a\0', 'a\nb', 'a\u007f'];
  for (const id of ids) {
    assert.notEqual(deviceIdFault(id), undefined, JSON.stringify(id));
    assert.throws(() => parseRecord(formatRecord({ ...sampleRecord, deviceId: id })), ParseError, JSON.stringify(id));
  }
});
