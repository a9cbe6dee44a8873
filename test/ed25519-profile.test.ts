/**
 * The line between valid and invalid signatures, pinned. Replicas that drew it at different places would fork a device's
 * chain, so a Node or library upgrade that moves it must fail here.
 */
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import test from 'node:test';
import { ed25519 } from '@noble/curves/ed25519.js';
import { publicKeyFault } from '../src/record/public-key.ts';
import { verifyEd25519 } from '../src/record/signature.ts';
import { caseClasses, type Signed } from './vectors/ed25519-cases.ts';

function opensslVerifies({ publicKey, message, signature }: Signed): boolean {
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: publicKey.toString('base64url') };
  return verify(null, message, createPublicKey({ key: jwk, format: 'jwk' }), signature);
}

/** OpenSSL draws the same line from 3.5 on; before, it accepted small-order points. */
const [opensslMajor = 0, opensslMinor = 0] = process.versions.openssl.split('.').map(Number);
const opensslIsStrict = opensslMajor > 3 || (opensslMajor === 3 && opensslMinor >= 5);
const skip = opensslIsStrict ? false : `NOT COMPARED WITH OPENSSL: ${process.versions.openssl} is older than 3.5`;
if (skip) console.warn(skip);

const describe = ({ publicKey, message, signature }: Signed) =>
  [publicKey, message, signature].map((bytes) => bytes.toString('hex')).join(' ');

for (const { name, accepted, cases } of caseClasses) {
  test(`${name}: ${cases.length} signatures ${accepted ? 'accepted' : 'refused'}`, () => {
    assert.ok(cases.length > 0);
    for (const signed of cases) {
      const { publicKey, message, signature } = signed;
      assert.equal(verifyEd25519(signature, message, publicKey), accepted, describe(signed));
    }
  });

  test(`${name}: OpenSSL draws the same line`, { skip }, () => {
    for (const signed of cases) assert.equal(opensslVerifies(signed), accepted, describe(signed));
  });
}

test('the cases have teeth: ZIP-215, which other verifiers follow, would accept every class that is refused for strictness', () => {
  for (const { name, zip215, cases } of caseClasses) {
    if (zip215 === undefined) continue;
    for (const { publicKey, message, signature } of cases.slice(0, 64)) {
      assert.equal(ed25519.verify(signature, message, publicKey, { zip215: true }), zip215, name);
    }
  }
  assert.ok(caseClasses.filter(({ accepted, zip215 }) => !accepted && zip215).length >= 4);
});

test('registration refuses every mixed-order key, so the cofactor can never decide over an honest device', () => {
  const mixed = caseClasses.filter(({ name }) => name.includes('case 3'));
  const keys = mixed.flatMap(({ cases }) => cases.map(({ publicKey }) => publicKey));
  assert.ok(keys.length > 0);
  for (const key of keys) assert.notEqual(publicKeyFault(key), undefined);
});
