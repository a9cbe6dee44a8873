/** Tracing and log in processes of their own, as the service has them: real exporter, real standard output. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { openLogger } from '../src/telemetry/logger.ts';
import { tracingShutdownDeadlineMs } from '../src/telemetry/tracing.ts';

const run = promisify(execFile);
const source = (path: string) => JSON.stringify(new URL(`../src/${path}`, import.meta.url).href);

/** Traces one request; then prints how long disposing took, and whether the SDK was loaded. */
const tracedRequest = `
  import { createRequire } from 'node:module';
  import { openLogger } from ${source('telemetry/logger.ts')};
  import { startServerSpan } from ${source('telemetry/server-span.ts')};
  import { startTracing } from ${source('telemetry/tracing.ts')};
  await using log = openLogger({ level: 'info', fd: 2 });
  const tracing = await startTracing(process.env, '1.2.3', log.logger);
  const span = startServerSpan('POST /api/v1/ingest', {}, {
    'http.request.method': 'POST', 'http.route': '/api/v1/ingest', 'url.path': '/api/v1/ingest', 'url.scheme': 'http',
  });
  span.stage('verify', Date.now(), Date.now() + 1);
  span.end(202);
  const startMs = performance.now();
  await tracing[Symbol.asyncDispose]();
  const disposeMs = performance.now() - startMs;
  const modules = Object.keys(createRequire(import.meta.url).cache);
  const loaded = modules.some((name) => name.includes('@opentelemetry/sdk-node'));
  await log[Symbol.asyncDispose]();
  process.stdout.write(JSON.stringify({ disposeMs, loaded, ids: span.ids ?? null }), () => process.exit());
`;

/** @param otel the OTEL_* variables; nothing else of this process's environment is passed on */
async function traceRequest(otel: Record<string, string>) {
  const secretArgument = '--database-url=postgres://eds:hunter2@db/eds';
  const { stdout, stderr } = await run(
    process.execPath,
    ['--input-type=module', '-e', tracedRequest, '--', secretArgument],
    { env: otel, timeout: 30_000 },
  );
  const result = JSON.parse(stdout) as { disposeMs: number; loaded: boolean; ids: { trace_id: string } | null };
  return { ...result, log: stderr };
}

async function listen<S extends ReturnType<typeof createServer>>(server: S) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('without OTEL_* variables, or when they switch it off, the SDK is not even loaded', async () => {
  const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' };
  for (const otel of [{}, { ...endpoint, OTEL_SDK_DISABLED: 'true' }, { ...endpoint, OTEL_TRACES_EXPORTER: 'none' }]) {
    const { loaded, ids } = await traceRequest(otel);
    assert.deepEqual({ loaded, ids }, { loaded: false, ids: null });
  }
});

test('spans reach a collector under our name, and the command line does not', async () => {
  const bodies: { url: string | undefined; body: string }[] = [];
  const collector = createHttpServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    bodies.push({ url: request.url, body: Buffer.concat(chunks).toString('latin1') });
    response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
  });
  const endpoint = await listen(collector);
  const { ids } = await traceRequest({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint });
  collector.close();
  assert.deepEqual(
    bodies.map(({ url }) => url),
    ['/v1/traces'],
  );
  const body = bodies[0]?.body ?? '';
  for (const text of ['edgesentry', '1.2.3', 'POST /api/v1/ingest', 'verify']) assert.ok(body.includes(text), text);
  assert.ok(body.includes(Buffer.from(ids?.trace_id ?? 'none', 'hex').toString('latin1')));
  assert.ok(!body.includes('hunter2'));
});

test('a collector that is gone costs spans, not the shutdown, and the log says so', async () => {
  const gone = createServer();
  const endpoint = await listen(gone);
  gone.close();
  await once(gone, 'close');
  const { disposeMs, loaded, log } = await traceRequest({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint });
  assert.ok(loaded);
  assert.ok(disposeMs < tracingShutdownDeadlineMs + 1000, `${disposeMs} ms`);
  assert.equal(JSON.parse(log).message, 'spans lost at shutdown');
});

test('a collector that never answers costs spans, not the shutdown', async () => {
  // The process under test ends without waiting, so its connection may end in a reset.
  const silent = createServer((socket) => socket.on('error', () => {}));
  const endpoint = await listen(silent);
  const { disposeMs } = await traceRequest({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint });
  silent.close();
  assert.ok(disposeMs < tracingShutdownDeadlineMs + 1000, `${disposeMs} ms`);
});

test('a collector that refuses is reported in the log', async () => {
  const collector = createHttpServer((_request, response) => response.writeHead(401).end());
  const endpoint = await listen(collector);
  const { log } = await traceRequest({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint });
  collector.close();
  const lines = log.split('\n').filter((line) => line !== '');
  assert.ok(lines.length > 0, 'nothing was logged');
  for (const line of lines) assert.match(JSON.parse(line).message, /^(tracing problem|spans lost at shutdown)$/);
});

const burst = (ending: string) => `
  import { openLogger } from ${source('telemetry/logger.ts')};
  const log = openLogger({ level: 'info', fd: 1 });
  for (let line = 0; line < 2000; line++) log.logger.info({ line }, 'record accepted');
  ${ending}
`;

test('the last lines are not lost when the process exits, orderly or not', async () => {
  const endings = ['process.exit(0);', 'await log[Symbol.asyncDispose](); process.exit(0);', ''];
  for (const ending of endings) {
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', burst(ending)], { timeout: 30_000 });
    const lines = stdout.trimEnd().split('\n');
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).line),
      Array.from({ length: 2000 }, (_, line) => line),
      ending,
    );
  }
});

test('a log that is not read fast enough drops and counts lines instead of filling the memory', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'eds-log-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'log');
  const fd = openSync(file, 'w');
  const written = 2000;
  let dropped = 0;
  {
    await using log = openLogger({ level: 'info', fd, onDropped: () => dropped++ });
    // All in one turn of the event loop, in which no write can end: more than the buffer holds.
    for (let i = 0; i < written; i++) log.logger.info({ filler: 'x'.repeat(4096) }, 'line');
  }
  const kept = readFileSync(file, 'utf8').trimEnd().split('\n').length;
  closeSync(fd);
  assert.ok(dropped > 0);
  assert.equal(kept + dropped, written);
});
