import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import test from 'node:test';
import { keyVectors, sampleRecord, vectorKey } from '../../test/vectors/records.ts';
import { possessionMessage, provePossession, verifyPossession } from './possession.ts';
import { signatureSchemes, signedMessage, verifyEd25519 } from './signature.ts';
import { signRecord } from './signing-key.ts';

const { publicKey } = vectorKey;

/** Signed by another implementation (pyca/cryptography), for the key whose seed is 32 bytes of 0x01. */
const vectors = [
  {
    deviceId: 'lift-01',
    scheme: 'payload-v1',
    message:
      '6564676573656e7472793a656e726f6c3a763100' +
      '076c6966742d3031' +
      '0a7061796c6f61642d7631' +
      '208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c',
    proof:
      '9bc719f5c67c3d0a617cdc9bb5fbb2be89196b2131159dca56bd6c7bab298b1905d54eff673f5e6785f474b7ac12ac23922cdd4219b8631b0210295725763602',
  },
  {
    deviceId: 'lift-01',
    scheme: 'record-v2',
    message:
      '6564676573656e7472793a656e726f6c3a763100' +
      '076c6966742d3031' +
      '097265636f72642d7632' +
      '208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c',
    proof:
      'b7964f2257ad6a78f54b87116238c27226fa27b36eb7b14ff6ae6dbb673e0e145539e5b14b5d49bdb076c0f483b97b82ecbf4224e9c6a0c56e2891c656414c08',
  },
  {
    deviceId: 'l'.repeat(200),
    scheme: 'record-v2',
    message:
      `6564676573656e7472793a656e726f6c3a763100c801${'6c'.repeat(200)}` +
      '097265636f72642d7632' +
      '208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c',
    proof:
      '1a7e5786184ca54aa107617308c348eb9ae618742d44570d905e15802cc1496ed801de25bf43bb40c8af55a20a135b1c7f17e54f8381bf171c829a99983fba06',
  },
] as const;

for (const { deviceId, scheme, message, proof } of vectors) {
  test(`firmware that makes the same bytes for ${deviceId.slice(0, 8)} and ${scheme} is understood`, () => {
    const key = { scheme, publicKey };
    assert.equal(possessionMessage(deviceId, key).toString('hex'), message);
    assert.equal(provePossession(deviceId, scheme, vectorKey).toString('hex'), proof);
    assert.equal(verifyPossession(deviceId, key, Buffer.from(proof, 'hex')), true);
  });
}

test('a proof is by an ordinary Ed25519 signer, as OpenSSL sees it', () => {
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: publicKey.toString('base64url') };
  const message = possessionMessage('lift-01', { scheme: 'record-v2', publicKey });
  const proof = provePossession('lift-01', 'record-v2', vectorKey);
  assert.equal(verify(null, message, createPublicKey({ key: jwk, format: 'jwk' }), proof), true);
});

test('a proof registers one key for one device under one scheme, and nothing else', () => {
  const key = { scheme: 'record-v2', publicKey } as const;
  const proof = provePossession('lift-01', 'record-v2', vectorKey);
  assert.equal(verifyPossession('lift-02', key, proof), false);
  assert.equal(verifyPossession('lift-0', key, proof), false);
  assert.equal(verifyPossession('lift-01', { ...key, scheme: 'payload-v1' }, proof), false);
  for (const other of keyVectors.slice(1))
    assert.equal(verifyPossession('lift-01', { ...key, publicKey: other.publicKey }, proof), false);
  for (let bit = 0; bit < 8 * proof.length; bit++) {
    const tampered = Buffer.from(proof);
    tampered.writeUInt8((proof[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3);
    assert.equal(verifyPossession('lift-01', key, tampered), false, `bit ${bit}`);
  }
  for (const length of [0, 63, 65]) assert.equal(verifyPossession('lift-01', key, Buffer.alloc(length)), false);
});

test('where one field ends and the next begins cannot be moved', () => {
  const messages = ['l', 'lift-01\u000arecord-v2', `lift-01\u000a`].map((id) =>
    possessionMessage(id, { scheme: 'record-v2', publicKey }).toString('hex'),
  );
  assert.equal(new Set(messages).size, messages.length);
});

test('no signature of a record is a proof, and no proof one of a record', () => {
  for (const scheme of signatureSchemes) {
    const record = signRecord(sampleRecord, scheme, vectorKey);
    const proof = provePossession(record.deviceId, scheme, vectorKey);
    assert.equal(verifyPossession(record.deviceId, { scheme, publicKey }, record.signature), false);
    assert.equal(verifyEd25519(proof, signedMessage(scheme, record), publicKey), false);
  }
  const shortest = possessionMessage('l', { scheme: 'record-v2', publicKey });
  assert.ok(shortest.length > sampleRecord.payloadHash.length);
  const record = signedMessage('record-v2', sampleRecord);
  assert.deepEqual(
    shortest.findIndex((byte, at) => byte !== record[at]),
    11,
  );
});

test('a small-order key, under which anybody can sign, has no proof', () => {
  const key = { scheme: 'payload-v1', publicKey: Buffer.from(`01${'00'.repeat(31)}`, 'hex') } as const;
  const forged = Buffer.concat([key.publicKey, Buffer.alloc(32)]);
  assert.equal(verifyPossession('lift-01', key, forged), false);
});
