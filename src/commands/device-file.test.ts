import assert from 'node:assert/strict';
import test from 'node:test';
import { keyVectors } from '../../test/vectors/records.ts';
import { provePossession } from '../record/possession.ts';
import { Failure } from './command.ts';
import { parseDeviceFile } from './device-file.ts';

const hex = keyVectors[0]?.publicKey.toString('hex') ?? '';
const parse = (text: string) => parseDeviceFile(text, 'devices.yaml');

test('YAML and JSON say the same', () => {
  const yaml = `
devices:
  - id: lift-01
    site: north tower
    enabled: false
    keys:
      - public_key: ${hex}
        scheme: record-v2
        valid_from: 2026-01-31T12:00:00Z
        valid_until: null
        revoked: true
`;
  const key = {
    public_key: hex,
    scheme: 'record-v2',
    valid_from: '2026-01-31T12:00:00Z',
    valid_until: null,
    revoked: true,
  };
  const json = JSON.stringify({ devices: [{ id: 'lift-01', site: 'north tower', enabled: false, keys: [key] }] });
  assert.deepEqual(parse(yaml), parse(json));
  assert.deepEqual(parse(yaml), [
    {
      id: 'lift-01',
      site: 'north tower',
      enabled: false,
      keys: [
        {
          publicKey: Buffer.from(hex, 'hex'),
          scheme: 'record-v2',
          validFromMs: Date.parse('2026-01-31T12:00:00Z'),
          validUntilMs: null,
          revoked: true,
          proof: undefined,
        },
      ],
      gateways: undefined,
    },
  ]);
});

test('what is left out stays undecided, and text that looks like a number stays text', () => {
  const [device] = parse('devices: [{id: 007, keys: []}, {id: 1e3, keys: []}]');
  assert.deepEqual(device, { id: '007', site: undefined, enabled: undefined, keys: [], gateways: undefined });
});

const vector = keyVectors[0] ?? assert.fail('no key vector');
const proof = provePossession('a', 'record-v2', vector).toString('hex');
const proven = (id: string, scheme: string, text = proof) =>
  `devices:\n  - id: ${id}\n    keys:\n      - public_key: ${hex}\n        scheme: ${scheme}\n        proof: ${text}`;

test('a proof that holds and the names of gateways are read', () => {
  assert.equal(parse(proven('a', 'record-v2'))[0]?.keys[0]?.proof?.toString('hex'), proof);
  const gateways = (text: string) => parse(`devices: [{id: a, keys: [], gateways: ${text}}]`)[0]?.gateways;
  assert.deepEqual(gateways('[gateway-7, "urn:gateway:8"]'), ['gateway-7', 'urn:gateway:8']);
  assert.deepEqual(gateways('[]'), []);
});

const wrong: readonly (readonly [what: string, text: string, message: RegExp])[] = [
  ['an unknown field', `devices:\n  - id: a\n    keys: []\n    key: x`, /line 4: a device has no field 'key'/],
  [
    'a misspelt field of a key',
    `devices:\n  - id: a\n    keys:\n      - {public_key: ${hex}, revokd: true}`,
    /line 4: a key has no field 'revokd'/,
  ],
  ['a field beside devices', 'devices: []\ndevice: []', /line 2: the file has no field 'device'/],
  ['a field twice', 'devices:\n  - id: a\n    id: b\n    keys: []', /line 3: .*unique/],
  ['a device twice', 'devices:\n  - {id: a, keys: []}\n  - {id: a, keys: []}', /line 3: device a is there twice/],
  [
    'a key twice',
    `devices:\n  - id: a\n    keys: [{public_key: ${hex}}, {public_key: ${hex.toUpperCase()}}]`,
    /a key of device a is there twice/,
  ],
  ['no id', 'devices:\n  - keys: []', /line 2: a device needs an id/],
  ['a reserved id', 'devices:\n  - {id: segments, keys: []}', /line 2: id 'segments': 'segments' is reserved/],
  [
    'an id that no record can have',
    'devices:\n  - {id: "a\\tb", keys: []}',
    /line 2: id 'a\tb': must not contain control/,
  ],
  [
    'a site too long',
    `devices:\n  - {id: a, site: ${'s'.repeat(256)}, keys: []}`,
    /line 2: site has 256 bytes, at most 255/,
  ],
  ['no keys', 'devices:\n  - id: a', /line 2: keys of device a must be a list/],
  [
    'a small-order key',
    `devices:\n  - {id: a, keys: [{public_key: "${'00'.repeat(32)}"}]}`,
    /line 2: public_key must be .*small order/,
  ],
  [
    'an unknown scheme',
    `devices:\n  - {id: a, keys: [{public_key: ${hex}, scheme: v2}]}`,
    /line 2: scheme must be payload-v1 or record-v2/,
  ],
  [
    'a time without offset',
    `devices:\n  - {id: a, keys: [{public_key: ${hex}, valid_from: 2026-01-31}]}`,
    /line 2: valid_from must be a time/,
  ],
  ['a proof for another device', proven('b', 'record-v2'), /line 6: proof does not hold for record-v2 and this key of/],
  ['a proof for another scheme', proven('a', 'payload-v1'), /line 6: proof does not hold for payload-v1/],
  ['half a proof', proven('a', 'record-v2', proof.slice(64)), /line 6: proof does not hold/],
  [
    'a gateway twice',
    'devices:\n  - {id: a, keys: [], gateways: [g, g]}',
    /line 2: a gateway of device a is there twice/,
  ],
  ['an empty gateway', 'devices:\n  - {id: a, keys: [], gateways: [null]}', /line 2: a gateway must not be empty/],
  [
    'a gateway that no certificate has',
    `devices:\n  - {id: a, keys: [], gateways: ["a\\tb"]}`,
    /line 2: a gateway must not/,
  ],
  [
    'no list of gateways',
    'devices:\n  - {id: a, keys: [], gateways: g}',
    /line 2: gateways of device a must be a list/,
  ],
  [
    'too many gateways',
    `devices:\n  - {id: a, keys: [], gateways: [${Array.from({ length: 17 }, (_, n) => `g${n}`).join()}]}`,
    /line 2: device a has 17 gateways: the most is 16/,
  ],
  ['an alias', 'devices:\n  - {id: &x a, site: *x, keys: []}', /line 2: site must be one value/],
  ['a list at the top', '- id: a', /line 1: the file must be fields: devices/],
  ['nothing', '', /line 1: the file must be fields: devices/],
  ['broken YAML', 'devices: [', /line 1: /],
];

for (const [what, text, message] of wrong) {
  test(`a file with ${what} is refused with the line`, () => {
    assert.throws(
      () => parse(text),
      (error) => error instanceof Failure && message.test(error.message),
    );
  });
}
