import assert from 'node:assert/strict';
import test from 'node:test';
import { sampleRecord } from '../../test/vectors/records.ts';
import { type Rejection, reject } from './rejection.ts';

const record = { ...sampleRecord, deviceId: 'D', sequence: 7n };
const failed = 'ingest verification failed: ';

test('devices and runbooks find the texts that they match on', () => {
  const texts: readonly [Rejection, string][] = [
    [reject.payloadHashMismatch(record), 'payload hash mismatch for device=D sequence=7'],
    [reject.identityMismatch(record, 'C'), `${failed}auth/device mismatch: cert_identity=C device_id=D`],
    [reject.unknownDevice(record), `${failed}unknown device: D`],
    [reject.invalidSignature(record), `${failed}invalid signature for device=D`],
    [reject.used(record, true, 8n), `${failed}duplicate record for device=D sequence=7`],
    [reject.used(record, false, 8n), `${failed}duplicate record for device=D sequence=7`],
    [reject.invalidSequence(record, 5n), `${failed}invalid sequence for device=D: expected=5 actual=7`],
    [reject.invalidPreviousHash(record), `${failed}invalid previous hash for device=D`],
  ];
  for (const [rejection, message] of texts) assert.equal(rejection.message, message);
});

test('a retry and an equivocation have the same text but another code', () => {
  const retry = reject.used(record, true, 8n);
  const equivocation = reject.used(record, false, 8n);
  assert.deepEqual([retry.code, retry.identical], ['duplicate_record', true]);
  assert.deepEqual([equivocation.code, equivocation.identical], ['equivocation', false]);
});

test('a device is told where its chain goes on, wherever it can', () => {
  assert.equal(reject.used(record, true, 8n).expectedSequence, 8n);
  assert.equal(reject.invalidSequence(record, 5n).expectedSequence, 5n);
  assert.equal(reject.invalidPreviousHash(record).expectedSequence, 7n);
  assert.equal(reject.invalidSignature(record).expectedSequence, undefined);
});
