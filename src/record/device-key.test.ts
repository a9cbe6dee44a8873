import assert from 'node:assert/strict';
import test from 'node:test';
import { vectorKey } from '../../test/vectors/records.ts';
import { parseDeviceKey } from './device-key.ts';

const { publicKey } = vectorKey;
const hex = publicKey.toString('hex');

test("a device's key is told from its id at the last '=', with or without a scheme", () => {
  const ids = ['lift-01', 'a=b', 'a=b:c', 'site:1/lift', '=', 'lift\u{1f6d7}'];
  for (const deviceId of ids) {
    assert.deepEqual(parseDeviceKey(`${deviceId}=${hex}`), { deviceId, key: { scheme: 'payload-v1', publicKey } });
    assert.deepEqual(parseDeviceKey(`${deviceId}=record-v2:${hex.toUpperCase()}`), {
      deviceId,
      key: { scheme: 'record-v2', publicKey },
    });
  }
});

const wrong: readonly (readonly [text: string, fault: RegExp])[] = [
  ['', /^must be ID=PUBKEY_HEX or ID=record-v2:PUBKEY_HEX, got ''$/],
  [hex, /^must be ID=PUBKEY_HEX/],
  [`=${hex}`, /^must be ID=PUBKEY_HEX/],
  ['lift-01=', /^public key of "lift-01": a public key is 32 bytes, got 0/],
  [`lift-01=v3:${hex}`, /^must be ID=PUBKEY_HEX/],
  [`lift-01=:${hex}`, /^must be ID=PUBKEY_HEX/],
  [`lift-01=${hex}00`, /^public key of "lift-01": a public key is 32 bytes, got 33/],
  [`lift-01=${hex}0`, /^must be ID=PUBKEY_HEX/],
  [`lift-01=${'00'.repeat(32)}`, /^public key of "lift-01": a point of small order/],
  [`${'x'.repeat(256)}=${hex}`, /: a device id has 256 bytes, at most 255 are allowed$/],
  [`a\nb=${hex}`, /^"a\\nb": a device id must not contain control characters$/],
];

for (const [text, fault] of wrong) {
  test(`${JSON.stringify(text.slice(0, 20))}... is no device key, and it is said why`, () => {
    const parsed = parseDeviceKey(text);
    assert.ok('fault' in parsed);
    assert.match(parsed.fault, fault);
  });
}
