import assert from 'node:assert/strict';
import test from 'node:test';
import { keyVectors, recordVectors, sampleRecord, vectorKey } from '../../test/vectors/records.ts';
import type { DeviceRecord } from './record.ts';
import { signatureSchemes, verifySignature } from './signature.ts';
import { generateSigningKey, signingKeyFromSeed, signRecord } from './signing-key.ts';

/** The sample with one field changed, a variant for each field but the signature. */
const changed: readonly [keyof DeviceRecord, DeviceRecord][] = [
  ['deviceId', { ...sampleRecord, deviceId: 'lift-02' }],
  ['sequence', { ...sampleRecord, sequence: 2n }],
  ['timestampMs', { ...sampleRecord, timestampMs: sampleRecord.timestampMs + 1n }],
  ['payloadHash', { ...sampleRecord, payloadHash: Buffer.alloc(32) }],
  ['prevRecordHash', { ...sampleRecord, prevRecordHash: Buffer.alloc(32, 1) }],
  ['objectRef', { ...sampleRecord, objectRef: 'lift-01/other.bin' }],
];

/** Each field whose change does not break a signature of this scheme. */
function uncovered(scheme: (typeof signatureSchemes)[number]): string[] {
  const { publicKey } = vectorKey;
  const { signature } = signRecord(sampleRecord, scheme, vectorKey);
  return changed
    .filter(([, record]) => verifySignature({ ...record, signature }, { scheme, publicKey }))
    .map(([field]) => field);
}

test('a device key is the one that its seed gives everywhere else', () => {
  for (const { seed, publicKey } of keyVectors) assert.deepEqual(signingKeyFromSeed(seed).publicKey, publicKey);
  assert.throws(() => signingKeyFromSeed(Buffer.alloc(31)), { name: 'RangeError', message: /32 bytes, got 31/ });
});

test('records that devices in the field have signed verify, and signing them again gives the same signature', () => {
  for (const { record } of recordVectors) {
    assert.equal(verifySignature(record, { scheme: 'payload-v1', publicKey: vectorKey.publicKey }), true);
    assert.deepEqual(signRecord(record, 'payload-v1', vectorKey), record);
  }
});

test('record-v2 covers every field, payload-v1 the payload hash alone', () => {
  assert.deepEqual(uncovered('record-v2'), []);
  assert.deepEqual(uncovered('payload-v1'), ['deviceId', 'sequence', 'timestampMs', 'prevRecordHash', 'objectRef']);
});

test('a signature under one scheme or key is none under another, so no message can choose the weaker one', () => {
  const other = generateSigningKey();
  for (const signedAs of signatureSchemes) {
    const record = signRecord(sampleRecord, signedAs, vectorKey);
    for (const scheme of signatureSchemes) {
      assert.equal(verifySignature(record, { scheme, publicKey: vectorKey.publicKey }), scheme === signedAs);
      assert.equal(verifySignature(record, { scheme, publicKey: other.publicKey }), false);
    }
  }
});
