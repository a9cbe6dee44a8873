import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import express from 'express';
import { RateLimits } from '../../ingest/rate-limits.ts';
import { readBody } from './body.ts';
import { BodyBudget } from './body-budget.ts';
import { bodyDeadline } from './body-deadline.ts';
import { contextOf, observeRequests } from './request-context.ts';
import { listen } from './server.ts';

const stated = 30_000;

async function serve() {
  const app = express();
  const arrived = Promise.withResolvers<void>();
  const refused: string[] = [];
  app.use(
    observeRequests({
      observer: {
        started: () => ({ trace: undefined, ended: () => {} }),
        refused: (code) => refused.push(code),
        limited: () => {},
      },
      limits: new RateLimits({
        source: undefined,
        device: undefined,
        pod: undefined,
        refused: undefined,
        now: () => 0,
      }),
    }),
  );
  app.post('/', bodyDeadline, async (request, response) => {
    assert.equal(contextOf(response).sender.transport, 'http');
    arrived.resolve();
    const body = await readBody(request, response, 1024, new BodyBudget().share());
    response.end(`got ${body.length}`);
  });
  app.use(((_error, _request, response, _next) => {
    if (!response.headersSent) response.status(500).end();
  }) satisfies express.ErrorRequestHandler);
  const listener = await listen(app, { host: '127.0.0.1', port: 0 });
  const socket = connect(listener.address.port, '127.0.0.1');
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  socket.on('error', () => {});
  return {
    socket,
    arrived: arrived.promise,
    refused,
    answer: () => text,
    async [Symbol.asyncDispose](): Promise<void> {
      socket.destroy();
      listener.destroy();
      await listener.drain();
    },
  };
}

const head = 'POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n';

test('a body that drips is answered 408 after its time, and the connection is ended', async (t) => {
  await using server = await serve();
  t.mock.timers.enable({ apis: ['setTimeout'] });
  server.socket.write(`${head}12345`);
  await server.arrived;
  t.mock.timers.tick(stated - 1);
  assert.deepEqual(server.refused, []);
  t.mock.timers.tick(1);
  await once(server.socket, 'close');
  assert.match(
    server.answer(),
    /^HTTP\/1\.1 408 .*"code":"request_timeout","error":"the body did not arrive within 30 s"/s,
  );
  assert.deepEqual(server.refused, ['request_timeout']);
});

test('a body in time is not disturbed, nor is the connection afterwards', async (t) => {
  await using server = await serve();
  t.mock.timers.enable({ apis: ['setTimeout'] });
  server.socket.write(`${head}12345`);
  await server.arrived;
  t.mock.timers.tick(stated - 1);
  server.socket.write('67890');
  await once(server.socket, 'data');
  t.mock.timers.tick(2 * stated);
  server.socket.write(`${head}1234567890`);
  await once(server.socket, 'data');
  assert.equal(server.answer().match(/got 10/g)?.length, 2);
});

test('who was refused and goes on sending is cut off after the same time', async (t) => {
  await using server = await serve();
  t.mock.timers.enable({ apis: ['setTimeout'] });
  server.socket.write('POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\nxxxx');
  await once(server.socket, 'data');
  assert.match(server.answer(), /^HTTP\/1\.1 500 /);
  t.mock.timers.tick(stated);
  await once(server.socket, 'close');
});
