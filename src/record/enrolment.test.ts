import assert from 'node:assert/strict';
import test from 'node:test';
import { vectorKey } from '../../test/vectors/records.ts';
import { formatEnrolment, parseEnrolment } from './enrolment.ts';
import { provePossession } from './possession.ts';

const key = { scheme: 'record-v2', publicKey: vectorKey.publicKey } as const;
const enrolment = { deviceId: 'lift-01', key, proof: provePossession('lift-01', 'record-v2', vectorKey) };
const text = formatEnrolment(enrolment);
const changed = (more: object) => JSON.stringify({ ...JSON.parse(text), ...more });

test('what the device writes is what the operator reads', () => {
  assert.deepEqual(parseEnrolment(text), enrolment);
});

const wrong: readonly (readonly [what: string, text: string, fault: RegExp])[] = [
  ['another device', changed({ device_id: 'lift-02' }), /^proof does not hold/],
  ['a weaker scheme', changed({ scheme: 'payload-v1' }), /^proof does not hold/],
  ['another proof', changed({ proof: '00'.repeat(64) }), /^proof does not hold/],
  ['half a proof', changed({ proof: '00'.repeat(32) }), /^proof does not hold/],
  ['no proof', changed({ proof: undefined }), /^proof does not hold/],
  ['no key', changed({ public_key: undefined }), /^public_key: a public key is 32 bytes, got 0/],
  ['a key of small order', changed({ public_key: '00'.repeat(32) }), /^public_key: .*small order/],
  ['a key that is no hexadecimal', changed({ public_key: 'x' }), /^public_key: not hexadecimal digits/],
  ['an unknown scheme', changed({ scheme: 'v3' }), /^scheme must be payload-v1 or record-v2/],
  ['a reserved id', changed({ device_id: 'segments' }), /^device_id 'segments' is reserved/],
  ['a number as id', changed({ device_id: 7 }), /^device_id must not be empty/],
  ['a field more', changed({ site: 'north' }), /^has a field 'site': it has device_id, scheme, public_key, proof/],
  ['a field twice', text.replace('{', '{"scheme":"payload-v1",'), /^is not JSON: .*/],
  ['a list', '[]', /^must be what eds device enrol writes/],
  ['nothing', '', /^is not JSON/],
];

for (const [what, text, fault] of wrong) {
  test(`an enrolment with ${what} registers nothing, and it is said why`, () => {
    const parsed = parseEnrolment(text);
    assert.ok('fault' in parsed);
    assert.match(parsed.fault, fault);
  });
}
