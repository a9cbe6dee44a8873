import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { createOpsApp, type OpsOptions } from './ops-app.ts';

async function serve(options: Partial<OpsOptions> = {}) {
  const errors: unknown[] = [];
  const app = createOpsApp({
    checks: [],
    draining: () => false,
    metrics: { contentType: 'text/plain; version=0.0.4; charset=utf-8', metrics: async () => 'up 1\n' },
    onError: (error) => errors.push(error),
    ...options,
  });
  const server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    errors,
    get: (path: string, method = 'GET') => fetch(origin + path, { method }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

const failing = {
  name: 'ledger',
  check: async () => {
    throw new Error('connection refused');
  },
};

test('readyz turns 503 and names the failing check, while livez does not restart the pod for it', async () => {
  await using ops = await serve({ checks: [failing] });
  const ready = await ops.get('/readyz');
  assert.equal(ready.status, 503);
  assert.deepEqual(await ready.json(), {
    status: 'not_ready',
    checks: [{ name: 'ledger', status: 'failed', error: 'connection refused' }],
  });
  assert.equal((await ops.get('/livez')).status, 200);
  assert.equal((await ops.get('/startupz')).status, 503);
});

test('a pod whose checks pass gets traffic until it drains', async () => {
  let draining = false;
  await using ops = await serve({ draining: () => draining });
  assert.equal((await ops.get('/readyz')).status, 200);
  assert.equal((await ops.get('/startupz')).status, 200);
  draining = true;
  const ready = await ops.get('/readyz');
  assert.equal(ready.status, 503);
  assert.deepEqual(await ready.json(), { status: 'draining', checks: [] });
  assert.equal((await ops.get('/livez')).status, 200);
});

test('a scraper gets the text format with its version', async () => {
  await using ops = await serve();
  const response = await ops.get('/metrics');
  assert.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  assert.equal(response.headers.get('cache-control'), 'no-store');
  assert.equal(await response.text(), 'up 1\n');
});

test('whatever else is asked gets JSON and never a page that names the framework', async () => {
  await using ops = await serve();
  for (const [path, method, status, code] of [
    ['/nowhere', 'GET', 404, 'not_found'],
    ['/%E0%A4%A', 'GET', 404, 'not_found'],
    ['/livez', 'POST', 405, 'method_not_allowed'],
    ['/metrics', 'DELETE', 405, 'method_not_allowed'],
  ] as const) {
    const response = await ops.get(path, method);
    assert.equal(response.status, status, path);
    assert.equal(response.headers.get('x-powered-by'), null);
    const body = (await response.json()) as { status: string; code: string };
    assert.deepEqual([body.status, body.code], ['rejected', code], path);
    if (status === 405) assert.equal(response.headers.get('allow'), 'GET, HEAD');
  }
});

test('a scrape that breaks is reported inside and says nothing outside', async () => {
  const broken = new Error('secret detail');
  const metrics = { contentType: 'text/plain', metrics: () => Promise.reject(broken) };
  await using ops = await serve({ metrics });
  const response = await ops.get('/metrics');
  assert.equal(response.status, 503);
  const text = await response.text();
  assert.equal(JSON.parse(text).code, 'internal_error');
  assert.ok(!text.includes(broken.message));
  assert.deepEqual(ops.errors, [broken]);
});
