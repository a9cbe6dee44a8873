import assert from 'node:assert/strict';
import { test } from 'node:test';
import { routeOf, routes } from './routes.ts';

test('a path is counted under its route, whatever device it names', () => {
  assert.equal(routeOf('/api/v1/ingest'), routes.ingest);
  assert.equal(routeOf('/api/v1/ingest/batch'), routes.batch);
  assert.equal(routeOf('/api/v1/devices/lift-01/head'), routes.head);
  assert.equal(routeOf('/api/v1/devices/a%2Fb/head/'), routes.head);
  assert.equal(routeOf('/openapi.json'), routes.openapi);
});

test('a path that somebody made up is counted under none', () => {
  for (const path of [
    '/',
    '/api/v1',
    '/api/v1/ingest/other',
    '/api/v1/devices//head',
    '/api/v1/devices/a/b/head',
    '/x/openapi.json',
  ])
    assert.equal(routeOf(path), undefined, path);
});
