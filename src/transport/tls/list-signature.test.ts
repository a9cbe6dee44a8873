import assert from 'node:assert/strict';
import { constants, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { test } from 'node:test';
import { derElements } from './der.ts';
import { isSignedBy, parseListSignature } from './list-signature.ts';

const der = (tag: number, ...contents: Buffer[]) => {
  const bytes = Buffer.concat(contents);
  return Buffer.concat([Uint8Array.of(tag, 0x82, bytes.length >> 8, bytes.length & 0xff), bytes]);
};
const sequence = (...contents: Buffer[]) => der(0x30, ...contents);
const oid = (hex: string) => der(0x06, Buffer.from(hex, 'hex'));
const signed = sequence(randomBytes(40));
const listSignature = (algorithm: Buffer, signature: Buffer) =>
  parseListSignature(derElements(Buffer.concat([signed, algorithm, der(0x03, Buffer.of(0), signature)])));

const sha1 = oid('2b0e03021a');
const sha256 = oid('608648016503040201');
/** RFC 4055 section 3.1. */
const pss = (hash: Buffer) => sequence(oid('2a864886f70d01010a'), sequence(der(0xa0, sequence(hash))));

const rsaKeys = {
  rsa: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  'rsa-pss': () => generateKeyPairSync('rsa-pss', { modulusLength: 2048 }),
};

test('RSA-PSS is verified with the hash that it names, under keys for RSA and for RSA-PSS', () => {
  for (const type of ['rsa', 'rsa-pss'] as const) {
    const { publicKey, privateKey } = rsaKeys[type]();
    const padding = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
    const signature = sign('sha256', signed, { key: privateKey, ...padding });
    assert.equal(isSignedBy(listSignature(pss(sha256), signature), publicKey), true);
    signature[5] = (signature[5] ?? 0) ^ 1;
    assert.equal(isSignedBy(listSignature(pss(sha256), signature), publicKey), false);
  }
});

test('what a signature is made with has to be what its algorithm says', () => {
  const { publicKey, privateKey } = rsaKeys.rsa();
  const signature = sign('sha256', signed, privateKey);
  const rsaSha256 = sequence(oid('2a864886f70d01010b'));
  assert.equal(isSignedBy(listSignature(rsaSha256, signature), publicKey), true);
  for (const other of ['2a864886f70d01010c', '2a8648ce3d040302'])
    assert.equal(isSignedBy(listSignature(sequence(oid(other)), signature), publicKey), false);
  assert.equal(isSignedBy(listSignature(pss(sha256), signature), publicKey), false);
});

test('an algorithm that is broken or not known is told by its name, and signs nothing', () => {
  const { publicKey, privateKey } = rsaKeys.rsa();
  const rsaSha1 = listSignature(sequence(oid('2a864886f70d010105')), sign('sha1', signed, privateKey));
  assert.equal(rsaSha1.scheme, undefined);
  assert.equal(rsaSha1.algorithm, '1.2.840.113549.1.1.5');
  assert.equal(isSignedBy(rsaSha1, publicKey), false);
  for (const parameters of [pss(sha1), sequence(oid('2a864886f70d01010a'))])
    assert.equal(listSignature(parameters, Buffer.alloc(256)).scheme, undefined);
});

test('what is no signed list is not taken for one', () => {
  const algorithm = sequence(oid('2b6570'));
  for (const rest of [
    [],
    [algorithm],
    [algorithm, der(0x04, randomBytes(64))],
    [algorithm, der(0x03, Buffer.of(3, 8))],
  ])
    assert.throws(() => parseListSignature(derElements(Buffer.concat([signed, ...rest]))), RangeError);
});
