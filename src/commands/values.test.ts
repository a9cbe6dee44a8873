import assert from 'node:assert/strict';
import test from 'node:test';
import { vectorKey } from '../../test/vectors/records.ts';
import { UsageError } from './command.ts';
import { bigWholeNumber, deviceKey, httpUrl } from './values.ts';

const hex = vectorKey.publicKey.toString('hex');

test("a device's key is told from its id at the last '=', with or without a scheme", () => {
  const { publicKey } = vectorKey;
  assert.deepEqual(deviceKey(`lift-01=${hex}`, '--device'), {
    deviceId: 'lift-01',
    key: { scheme: 'payload-v1', publicKey },
  });
  assert.deepEqual(deviceKey(`a=b:c=record-v2:${hex.toUpperCase()}`, '--device'), {
    deviceId: 'a=b:c',
    key: { scheme: 'record-v2', publicKey },
  });
  for (const wrong of [
    '',
    hex,
    `=${hex}`,
    'lift-01=',
    `lift-01=v3:${hex}`,
    `lift-01=${hex}00`,
    `${'x'.repeat(256)}=${hex}`,
  ])
    assert.throws(() => deviceKey(wrong, '--device'), UsageError, wrong);
});

test('64-bit numbers keep every digit, and what is not a plain whole number is refused', () => {
  const u63 = bigWholeNumber(0n, 2n ** 63n - 1n);
  assert.equal(u63('9007199254740993', '--sequence'), 9007199254740993n);
  for (const wrong of ['', '-1', '1.0', '1e3', '0x10', ' 1', '9223372036854775808', '1'.repeat(100)])
    assert.throws(() => u63(wrong, '--sequence'), UsageError, wrong);
});

test('an address of another kind is refused by name', () => {
  for (const wrong of ['', 'localhost:8080', 'ftp://x', '//x'])
    assert.throws(() => httpUrl(wrong, '--url'), /--url must be an http:\/\/ or https:\/\/ address/, wrong);
});
