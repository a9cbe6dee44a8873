import assert from 'node:assert/strict';
import test from 'node:test';
import { ED25519_TORSION_SUBGROUP, ed25519 } from '@noble/curves/ed25519.js';
import { keyVectors } from '../../test/vectors/records.ts';
import { publicKeyFault } from './public-key.ts';
import { generateSigningKey } from './signing-key.ts';

const { Point } = ed25519;
const fieldPrime = 2n ** 255n - 19n;
const signBit = 2n ** 255n;

/** RFC 8032 section 5.1.2: little-endian y, the sign of x in the topmost bit. */
function encodingOf(y: bigint): Buffer {
  return Buffer.from(y.toString(16).padStart(64, '0'), 'hex').reverse();
}

const torsion = ED25519_TORSION_SUBGROUP.map((hex) => Point.fromHex(hex));

test('the keys of honest devices are registered', () => {
  const fresh = Array.from({ length: 16 }, () => generateSigningKey().publicKey);
  for (const publicKey of [...keyVectors.map((key) => key.publicKey), ...fresh]) {
    assert.equal(publicKeyFault(publicKey), undefined, publicKey.toString('hex'));
  }
});

test('none of the eight small-order points, under which anybody can sign, is registered', () => {
  assert.equal(torsion.length, 8);
  for (const point of torsion) assert.match(publicKeyFault(Buffer.from(point.toBytes())) ?? '', /small order/);
});

test('no key outside the prime-order subgroup, on which verifiers disagree, is registered', () => {
  for (const { publicKey } of keyVectors) {
    for (const shift of torsion.filter((point) => !point.is0())) {
      const torsioned = Buffer.from(Point.fromBytes(publicKey).add(shift).toBytes());
      assert.match(publicKeyFault(torsioned) ?? '', /prime-order subgroup/);
    }
  }
});

test('no second spelling of a point is registered', () => {
  for (let y = fieldPrime; y < signBit; y++) {
    for (const sign of [0n, signBit]) assert.match(publicKeyFault(encodingOf(y + sign)) ?? '', /not a canonical/);
  }
  for (const yOfZeroX of [1n, fieldPrime - 1n]) {
    assert.match(publicKeyFault(encodingOf(yOfZeroX + signBit)) ?? '', /not a canonical/);
  }
});

test('bytes that are no point, or not 32, are refused', () => {
  assert.match(publicKeyFault(encodingOf(2n)) ?? '', /not a canonical encoding of a point/);
  for (const length of [0, 31, 33, 64])
    assert.match(publicKeyFault(Buffer.alloc(length)) ?? '', new RegExp(`got ${length}$`));
});
