/** GET /api/v1/devices/{id}/head: where a device goes on from. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startService, type TestService } from './support/service.ts';

async function headOf(service: TestService, id: string, method = 'GET') {
  const response = await fetch(`${service.url}/api/v1/devices/${id}/head`, { method });
  assert.equal(response.headers.get('content-type'), 'application/json; charset=utf-8');
  return { status: response.status, text: await response.text() };
}

async function post(service: TestService, body: string): Promise<number> {
  const headers = { 'Content-Type': 'application/json' };
  return (await fetch(`${service.url}/api/v1/ingest`, { method: 'POST', headers, body })).status;
}

test('a device begins at 0 and zeros, and then at its last record', async (t) => {
  await using service = await startService(t);
  const device = await service.device('lift-01');
  const zeros = '0'.repeat(64);
  assert.deepEqual(await headOf(service, 'lift-01'), {
    status: 200,
    text: `{"device_id":"lift-01","sequence":0,"record_hash":"${zeros}"}`,
  });
  for (const body of device.nextBodies(3)) assert.equal(await post(service, body), 202);
  const hash = device.head.recordHash.toString('hex');
  assert.deepEqual(await headOf(service, 'lift-01'), {
    status: 200,
    text: `{"device_id":"lift-01","sequence":3,"record_hash":"${hash}"}`,
  });
});

test('a head is the committed one even where another replica has moved it on', async (t) => {
  await using service = await startService(t);
  const device = await service.device('lift-01');
  assert.equal(await post(service, device.nextBody()), 202);
  await service.pool.query(
    `INSERT INTO audit_records SELECT 'lift-01', 2, 0, h, h || h, h, 'x', h, 'x', NULL, 0 FROM decode(repeat('ab', 32), 'hex') h`,
  );
  const { text } = await headOf(service, 'lift-01');
  assert.equal(text, `{"device_id":"lift-01","sequence":2,"record_hash":"${'ab'.repeat(32)}"}`);
});

test('no digit of a sequence above 2^53 is lost', async (t) => {
  await using service = await startService(t);
  await service.device('lift-01');
  for (const sequence of ['9007199254740993', '9223372036854775807']) {
    await service.pool.query(
      `INSERT INTO audit_records SELECT 'lift-01', $1, 0, h, h || h, h, 'x', h, 'x', NULL, 0 FROM decode(repeat('00', 32), 'hex') h`,
      [sequence],
    );
    const { text } = await headOf(service, 'lift-01');
    assert.ok(text.includes(`"sequence":${sequence},`), text);
  }
});

test('an unknown device gets 404, and ids that need encoding are found', async (t) => {
  await using service = await startService(t);
  const { status, text } = await headOf(service, 'nobody');
  assert.equal(status, 404);
  assert.deepEqual(JSON.parse(text), {
    status: 'rejected',
    code: 'not_found',
    error: 'device nobody is not registered',
  });
  for (const id of ['site/lift 01', 'Aufzug-ä', '100%']) {
    await service.device(id);
    const head = await headOf(service, encodeURIComponent(id));
    assert.deepEqual([head.status, JSON.parse(head.text).device_id], [200, id]);
  }
  assert.deepEqual(await headOf(service, encodeURIComponent('100%'), 'HEAD'), { status: 200, text: '' });
  assert.deepEqual(service.errors, []);
});
