import assert from 'node:assert/strict';
import test from 'node:test';
import { vectorKey } from '../../test/vectors/records.ts';
import { UsageError } from './command.ts';
import { bigWholeNumber, deviceKey, httpUrl } from './values.ts';

const hex = vectorKey.publicKey.toString('hex');

test("a device's key that is none is refused by the name of its flag", () => {
  const { publicKey } = vectorKey;
  const key = { scheme: 'record-v2', publicKey };
  assert.deepEqual(deviceKey(`lift-01=record-v2:${hex}`, '--device'), { deviceId: 'lift-01', key });
  assert.throws(
    () => deviceKey('lift-01', '--device'),
    (error) => error instanceof UsageError && /^--device must be ID=PUBKEY_HEX/.test(error.message),
  );
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
