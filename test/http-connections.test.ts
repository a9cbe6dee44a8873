/** What reaches the ingest port besides sound requests: every answer is JSON, no connection is held for ever. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import {
  answerDeadlineMs,
  answerUntilClose,
  exchange,
  openSocket,
  postHead,
  type RawAnswer,
} from './support/raw-http.ts';
import { startService } from './support/service.ts';

function assertRefusal(
  { status, headers, text }: RawAnswer,
  expectedStatus: number,
  code: string,
  error: RegExp,
): void {
  assert.equal(headers.get('content-type'), 'application/json; charset=utf-8', text);
  const body = JSON.parse(text) as Record<string, unknown>;
  assert.deepEqual([status, body.status, body.code], [expectedStatus, 'rejected', code]);
  assert.match(String(body.error), error);
}

const get = (path: string, headers = '') => `GET ${path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n${headers}\r\n`;

const refused: readonly (readonly [what: string, request: string, status: number, code: string, error: RegExp])[] = [
  ['a route that is none', get('/'), 404, 'not_found', /no such route: \/; see \/openapi\.json/],
  ['a route that is not there yet', get('/api/v2/ingest'), 404, 'not_found', /\/api\/v2\/ingest/],
  ['a path with markup', get('/<script>'), 404, 'not_found', /<script>/],
  ['GET of the ingest route', get('/api/v1/ingest'), 405, 'method_not_allowed', /GET is not allowed here: use POST/],
  [
    'DELETE of a head',
    get('/api/v1/devices/a/head').replace('GET', 'DELETE'),
    405,
    'method_not_allowed',
    /use GET, HEAD/,
  ],
  ['OPTIONS', get('/api/v1/ingest/batch').replace('GET', 'OPTIONS'), 405, 'method_not_allowed', /OPTIONS/],
  ['an unknown device', get('/api/v1/devices/nobody/head'), 404, 'not_found', /device nobody is not registered/],
  ['a device id with a NUL', get('/api/v1/devices/a%00b/head'), 404, 'not_found', /is not registered/],
  ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n', 400, 'bad_http', /CONNECT/],
  [
    'a device id past any bound',
    get(`/api/v1/devices/${'x'.repeat(5000)}/head`),
    404,
    'not_found',
    /is not registered/,
  ],
  ['bad percent-encoding', get('/api/v1/devices/%zz/head'), 400, 'bad_http', /%zz/],
  ['percent-encoded bytes that are not UTF-8', get('/api/v1/devices/%ff/head'), 400, 'bad_http', /%ff/],
  ['no HTTP at all', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', 400, 'bad_http', /not a valid HTTP/],
  ['a header without a colon', get('/', 'nonsense\r\n'), 400, 'bad_http', /not a valid HTTP/],
  ['two lengths', get('/', 'Content-Length: 1\r\nContent-Length: 2\r\n'), 400, 'bad_http', /not a valid HTTP/],
  [
    'a length and chunks',
    get('/', 'Content-Length: 1\r\nTransfer-Encoding: chunked\r\n'),
    400,
    'bad_http',
    /not a valid/,
  ],
  ['no Host', 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n', 400, 'bad_http', /Host/],
  [
    'headers without measure',
    get('/', `X: ${'x'.repeat(20_000)}\r\n`),
    431,
    'headers_too_large',
    /larger than 16384 bytes/,
  ],
  ['an expectation that nobody knows', get('/', 'Expect: miracles\r\n'), 404, 'not_found', /no such route/],
];

test('whatever is asked wrongly gets JSON with a code, and the next request is served', async (t) => {
  await using service = await startService(t);
  for (const [what, request, status, code, error] of refused)
    await t.test(what, async () => {
      const answer = await exchange(service.port, request);
      assertRefusal(answer, status, code, error);
      if (status === 405) assert.match(answer.headers.get('allow') ?? '', /^(POST|GET, HEAD)$/);
      assert.equal(answer.headers.get('x-powered-by'), undefined);
    });
  const device = await service.device('lift-01');
  const response = await fetch(`${service.url}/api/v1/ingest`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: device.nextBody(),
  });
  assert.equal(response.status, 202);
  assert.deepEqual(service.errors, []);
});

test('a source that is not allowed is refused before it has sent a body, and is not invited to', async (t) => {
  await using service = await startService(t, { allowedSources: ['10.0.0.0/8'] });
  for (const path of ['/api/v1/ingest', '/api/v1/ingest/batch', '/openapi.json']) {
    const announced = { 'Content-Type': 'application/json', 'Content-Length': 10 ** 9 };
    for (const head of [postHead(path, announced), postHead(path, { ...announced, Expect: '100-continue' })]) {
      const answer = await exchange(service.port, head);
      assertRefusal(answer, 403, 'source_not_allowed', /source address 127\.0\.0\.1 is not allowed/);
    }
  }
  assertRefusal(await exchange(service.port, get('/api/v1/devices/a/head')), 403, 'source_not_allowed', /127\.0\.0\.1/);
});

test('X-Forwarded-For counts from a configured proxy and from nobody else', async (t) => {
  const forwarded = (from: string) => get('/nowhere', `X-Forwarded-For: ${from}\r\n`);
  {
    await using proxied = await startService(t, { allowedSources: ['192.0.2.0/24'], trustedProxies: ['127.0.0.1'] });
    assertRefusal(await exchange(proxied.port, forwarded('192.0.2.7')), 404, 'not_found', /nowhere/);
    // What the client itself wrote stands before what the proxy added.
    const forged = await exchange(proxied.port, forwarded('192.0.2.7, 203.0.113.9'));
    assertRefusal(forged, 403, 'source_not_allowed', /203\.0\.113\.9/);
    const direct = await exchange(proxied.port, get('/nowhere'));
    assertRefusal(direct, 403, 'source_not_allowed', /127\.0\.0\.1/);
  }
  await using open = await startService(t, { allowedSources: ['192.0.2.0/24'] });
  assertRefusal(await exchange(open.port, forwarded('192.0.2.7')), 403, 'source_not_allowed', /127\.0\.0\.1/);
});

test('an IPv4 sender on a socket of both families is known by its IPv4 address', async (t) => {
  await using service = await startService(t, { host: '::', allowedSources: ['127.0.0.0/8'] });
  assertRefusal(await exchange(service.port, get('/nowhere')), 404, 'not_found', /nowhere/);
});

test('headers that never end are cut off with 408', { timeout: 60_000 }, async (t) => {
  await using service = await startService(t);
  const socket = await openSocket(service.port);
  socket.write('POST /api/v1/ingest HTTP/1.1\r\nHost: test\r\n');
  assertRefusal(await answerUntilClose(socket), 408, 'request_timeout', /did not arrive in time/);
});

test('a broken chunk in the middle of a batch cuts the connection, and is not answered inside the answer', async (t) => {
  await using service = await startService(t);
  const socket = await openSocket(service.port);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => {});
  socket.write(
    postHead('/api/v1/ingest/batch', { 'Content-Type': 'application/x-ndjson', 'Transfer-Encoding': 'chunked' }),
  );
  await once(socket, 'data');
  socket.write('no chunk\r\n');
  await once(socket, 'close', { signal: AbortSignal.timeout(answerDeadlineMs) });
  assert.equal(
    Buffer.concat(chunks)
      .toString()
      .match(/HTTP\/1\.1 /g)?.length,
    1,
  );
});

test('a draining replica ends each connection with the answer that it is owed', async (t) => {
  let draining = false;
  await using service = await startService(t, { draining: () => draining });
  const keepAlive = get('/api/v1/devices/nobody/head').replace('Connection: close\r\n', '');
  draining = true;
  const answer = await exchange(service.port, keepAlive);
  assertRefusal(answer, 404, 'not_found', /nobody/);
  assert.equal(answer.headers.get('connection'), 'close');
});
