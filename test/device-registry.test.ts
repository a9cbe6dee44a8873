/** What the registry takes and refuses, on a real Postgres. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RegistryError } from '../src/ledger/device-registry.ts';
import { keyCountsAt } from '../src/record/device.ts';
import { generateSigningKey } from '../src/record/signing-key.ts';
import { openLedger } from './support/ledger.ts';

const newKey = () => ({ scheme: 'payload-v1' as const, publicKey: generateSigningKey().publicKey });

test('every change of a device, its keys or its gateways moves its revision, and no other does', async (t) => {
  await using db = await openLedger(t);
  const revision = async (id: string) => (await db.registry.find(id))?.revision ?? -1n;
  await db.registry.register('other', newKey());
  const otherRevision = await revision('other');
  const [first, second] = [newKey(), newKey()];
  let last = -1n;
  for (const change of [
    () => db.registry.register('lift-01', first),
    () => db.registry.rotate('lift-01', second, 60_000),
    () => db.registry.revoke('lift-01', first.publicKey),
    () => db.registry.setEnabled('lift-01', false),
    () => db.registry.addGateway('lift-01', 'gateway-7'),
    () => db.registry.removeGateway('lift-01', 'gateway-7'),
  ]) {
    await change();
    const now = await revision('lift-01');
    assert.ok(now > last);
    last = now;
  }
  await db.registry.register('lift-01', second);
  assert.equal(await revision('lift-01'), last, 'the same registration again changes nothing');
  assert.equal(await revision('other'), otherRevision);
});

test('after a rotation both keys count for the overlap, and then the new one alone', async (t) => {
  await using db = await openLedger(t);
  const [before, after] = [newKey(), newKey()];
  await db.registry.register('lift-01', before);
  await db.registry.rotate('lift-01', after, 3_600_000);
  const keys = (await db.registry.find('lift-01'))?.keys ?? [];
  const counting = (atMs: number) =>
    keys.filter((key) => keyCountsAt(key, atMs)).map(({ publicKey }) => publicKey.toString('hex'));
  const [old, fresh] = [before.publicKey.toString('hex'), after.publicKey.toString('hex')];
  assert.deepEqual(counting(Date.now() + 1_000_000), [old, fresh]);
  assert.deepEqual(counting(Date.now() + 3_700_000), [fresh]);
});

test('what must not be registered is refused, naming the device and the way out', async (t) => {
  await using db = await openLedger(t);
  const key = newKey();
  await db.registry.register('lift-01', key);
  await db.registry.revoke('lift-01');
  const smallOrder = { scheme: 'payload-v1' as const, publicKey: Buffer.alloc(32) };
  for (const [refused, message] of [
    [() => db.registry.register('lift-01', key), /public key of device lift-01 was revoked: register a new one/],
    [() => db.registry.register('lift-02', smallOrder), /public key for device lift-02: .*small order/],
    [() => db.registry.register('records', newKey()), /device records: 'records' is reserved/],
    [() => db.registry.register('a\tb', newKey()), /device a\tb: must not contain control characters/],
    [() => db.registry.register('a'.repeat(300), newKey()), /has 300 bytes, at most 255 are allowed/],
    [() => db.registry.register('lift-02', newKey(), 's'.repeat(256)), /site of device lift-02: has 256 bytes/],
    [
      () => db.registry.register('lift-02', { ...newKey(), validUntil: new Date(Date.now() - 1) }),
      /public key for device lift-02 would end before it begins/,
    ],
    [() => db.registry.register('a/../b', newKey()), /device a\/\.\.\/b: .*'\.\.'/],
    [() => db.registry.rotate('nobody', newKey(), 0), /device nobody is not registered/],
    [() => db.registry.revoke('lift-01'), /no such key that is not revoked already/],
    [() => db.registry.setEnabled('nobody', true), /device nobody is not registered/],
  ] as const)
    await assert.rejects(refused, (error) => {
      assert.ok(error instanceof RegistryError);
      assert.match(error.message, message);
      return true;
    });
  assert.deepEqual(
    (await db.registry.list()).map(({ id }) => id),
    ['lift-01'],
  );
});

test('a device has at most eight keys at once, so that a bad signature costs at most eight checks', async (t) => {
  await using db = await openLedger(t);
  for (let count = 0; count < 8; count++) await db.registry.register('lift-01', newKey());
  await assert.rejects(db.registry.register('lift-01', newKey()), /more than 8 current keys: revoke one first/);
  assert.equal((await db.registry.find('lift-01'))?.keys.length, 8);
});
