import assert from 'node:assert/strict';
import test from 'node:test';
import { sampleRecord as record, vectorKey } from '../../test/vectors/records.ts';
import type { Device, DeviceKey } from '../record/device.ts';
import { authorMismatch, clockSlackMs } from './author-mismatch.ts';

const acceptedMs = 1_700_000_000_000;

function device(key: Partial<DeviceKey>, enabled = true): Device {
  const always = { validFromMs: 0, validUntilMs: undefined, revokedAtMs: undefined };
  const full: DeviceKey = { scheme: 'payload-v1', publicKey: vectorKey.publicKey, ...always, ...key };
  return { id: record.deviceId, enabled, revision: 1n, keys: [full], gateways: [] };
}

test('a suspended device keeps what it was admitted with', () => {
  assert.equal(authorMismatch(record, device({}, false), acceptedMs), undefined);
});

test('a revocation that overtook an admission within the slack is no break, one before that is', () => {
  assert.equal(authorMismatch(record, device({ revokedAtMs: acceptedMs - clockSlackMs + 1 }), acceptedMs), undefined);
  const early = authorMismatch(record, device({ revokedAtMs: acceptedMs - clockSlackMs }), acceptedMs);
  assert.match(early?.problem ?? '', /signed with a key that did not count when it was accepted/);
  assert.match(early?.expected ?? '', /revoked 2023-11-14T22:12:20.000Z$/);
  assert.equal(early?.actual, 'accepted 2023-11-14T22:13:20.000Z');
});

test('the scheme of the key decides what the signature must cover', () => {
  assert.equal(
    authorMismatch(record, device({ scheme: 'record-v2' }), acceptedMs)?.problem,
    'the signature is not valid',
  );
});

test('a record of nobody is named as such', () => {
  assert.match(authorMismatch(record, undefined, acceptedMs)?.problem ?? '', /not in the registry/);
});
