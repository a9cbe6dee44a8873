import assert from 'node:assert/strict';
import test from 'node:test';
import { recordVectors, sampleRecord, vectorKey } from '../../test/vectors/records.ts';
import { type Device, type DeviceKey, earlyStartMs } from './device.ts';
import { judgeAuthor, judgeIdentity, judgeObjectRef, judgePayload } from './judge.ts';
import { generateSigningKey } from './signing-key.ts';

const key: DeviceKey = {
  scheme: 'payload-v1',
  publicKey: vectorKey.publicKey,
  validFromMs: 10_000,
  validUntilMs: 20_000,
  revokedAtMs: undefined,
};
const device: Device = { id: 'lift-01', enabled: true, revision: 1n, keys: [key], gateways: [] };

test('a payload is taken only when its hash is the one that the device signed', () => {
  for (const { record, payload } of recordVectors) {
    assert.equal(judgePayload({ record, payload }), undefined);
    assert.equal(judgePayload({ record, payload: payload.subarray(1) })?.code, 'payload_hash_mismatch');
  }
});

test('a certificate speaks for its own device only, and none is needed where none is presented', () => {
  assert.equal(judgeIdentity(sampleRecord, device, undefined), undefined);
  assert.equal(judgeIdentity(sampleRecord, device, ['lift-01']), undefined);
  assert.equal(judgeIdentity(sampleRecord, undefined, ['site.example', 'lift-01']), undefined);
  for (const names of [['lift-02'], [''], []])
    assert.equal(judgeIdentity(sampleRecord, device, names)?.code, 'identity_mismatch');
});

test('a gateway speaks for the devices that it is registered for, and for no other', () => {
  const served = { ...device, gateways: ['gateway-7'] };
  assert.equal(judgeIdentity(sampleRecord, served, ['gateway-7']), undefined);
  assert.equal(judgeIdentity(sampleRecord, served, ['gateway-8'])?.code, 'identity_mismatch');
  assert.equal(judgeIdentity(sampleRecord, undefined, ['gateway-7'])?.code, 'identity_mismatch');
});

test('a device without a place in the registry, suspended, or without a key of its own gets nothing in', () => {
  assert.equal(judgeAuthor(sampleRecord, device, 15_000), undefined);
  assert.equal(judgeAuthor(sampleRecord, undefined, 15_000)?.code, 'unknown_device');
  assert.equal(judgeAuthor(sampleRecord, { ...device, enabled: false }, 15_000)?.code, 'device_suspended');
  assert.equal(judgeAuthor(sampleRecord, { ...device, keys: [] }, 15_000)?.code, 'invalid_signature');
});

test('during a rotation either key will do, and outside its window a key proves nothing', () => {
  const other = { ...key, publicKey: generateSigningKey().publicKey };
  assert.equal(judgeAuthor(sampleRecord, { ...device, keys: [other, key] }, 15_000), undefined);
  assert.equal(judgeAuthor(sampleRecord, { ...device, keys: [other] }, 15_000)?.code, 'invalid_signature');
  for (const atMs of [9_999 - earlyStartMs, 20_000]) {
    assert.equal(judgeAuthor(sampleRecord, device, atMs)?.code, 'invalid_signature');
    assert.equal(judgeAuthor(sampleRecord, device, atMs, earlyStartMs + 1), undefined);
  }
});

test("a device names objects under its own prefix, not another's whose name begins alike", () => {
  const named = (objectRef: string) => judgeObjectRef({ ...sampleRecord, objectRef }, 'device')?.code;
  for (const ref of ['lift-01/1.bin', 's3://bucket/lift-01/1.bin']) assert.equal(named(ref), undefined);
  for (const ref of ['lift-011/1.bin', 'lift-02/1.bin', 'records/1', 'lift-01', 's3://lift-01/1.bin']) {
    assert.equal(named(ref), 'object_ref_not_allowed', ref);
  }
  assert.equal(judgeObjectRef({ ...sampleRecord, objectRef: 'elsewhere' }, 'any'), undefined);
});
