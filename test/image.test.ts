/** The built image, named by EDS_IMAGE: what it holds, and how it runs where a pod may do next to nothing. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import test from 'node:test';
import { query } from '../dev/database.ts';
import packageJson from '../package.json' with { type: 'json' };
import { docker, filesOf, runContainer, ServeContainer } from './image/container.ts';
import { ingestRoute } from './support/post.ts';
import { createTestDatabase } from './support/postgres.ts';
import { answerDeadlineMs, firstAnswer, openSocket, postHead } from './support/raw-http.ts';
import type { LogLine } from './support/serve-process.ts';
import { TestDevice } from './support/service.ts';

const image = process.env.EDS_IMAGE ?? '';
const skip =
  image === '' &&
  'NO IMAGE TO TEST: docker build -t edgesentry . and set EDS_IMAGE=edgesentry; nothing about it was tested here';

/** What a node pulls before a pod can start there. */
const imageBytesMax = 250e6;
/** Far more than a drain with one request in flight takes, less than Docker's own ten seconds. */
const graceSeconds = 8;

test('the entry point is eds: arguments of a pod are its command line', { skip }, async () => {
  assert.deepEqual(await runContainer(image, ['--version']), {
    exitCode: 0,
    stdout: `${packageJson.version}\n`,
    stderr: '',
  });
  for (const args of [[], ['--help'], ['serve', '--help']]) {
    const { exitCode, stdout, stderr } = await runContainer(image, args);
    assert.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: '' });
    assert.match(stdout, args[0] === 'serve' ? /^Usage: eds serve / : /^Usage: eds /);
  }
  const wrong = await runContainer(image, ['serve', '--stor-dir=/tmp']);
  assert.deepEqual([wrong.exitCode, wrong.stdout], [2, ''], wrong.stderr);
  assert.match(wrong.stderr, /--stor-dir/);
});

test('every module loads: no dependency was left out, nor what it needs of the system', { skip }, async () => {
  const script = `
    import { globSync } from 'node:fs';
    const modules = globSync('/app/src/**/*.ts').filter((file) => file !== '/app/src/main.ts');
    for (const name of [...modules, '@opentelemetry/sdk-node']) await import(name);
    console.log(modules.includes('/app/src/commands/serve.ts'));`;
  const flags = ['--entrypoint=/nodejs/bin/node', '--workdir=/app'];
  const result = await runContainer(image, ['--input-type=module', '--eval', script], { flags });
  assert.deepEqual(result, { exitCode: 0, stdout: 'true\n', stderr: '' });
});

test('migrate makes the schema, serve takes a signed record, and SIGTERM costs no request', { skip }, async (t) => {
  const { url } = await createTestDatabase(t);
  await query(url, 'DROP SCHEMA public CASCADE', 'CREATE SCHEMA public');
  const env = { DATABASE_URL: url };
  const migrated = await runContainer(image, ['migrate'], { env });
  assert.equal(migrated.exitCode, 0, migrated.stderr);

  const device = new TestDevice('lift-01');
  const key = device.key.publicKey.toString('hex');
  const container = new ServeContainer(t, image, [`--device=${device.id}=${key}`], env);
  const listening = await container.logged('listening');
  assert.equal((await fetch(`http://127.0.0.1:${portOf(listening, 'ops')}/readyz`)).status, 200);

  const first = device.nextBody();
  const headers = { 'content-type': 'application/json' };
  const ingestPort = portOf(listening, 'ingest');
  const taken = await fetch(`http://127.0.0.1:${ingestPort}${ingestRoute}`, { method: 'POST', headers, body: first });
  assert.equal(taken.status, 202, await taken.text());

  // A request has begun when the pod is told to go.
  const body = device.nextBody();
  const socket = await openSocket(ingestPort);
  const length = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
  socket.write(postHead(ingestRoute, { ...length, Expect: '100-continue' }));
  const [goOn] = (await once(socket, 'data', { signal: AbortSignal.timeout(answerDeadlineMs) })) as [Buffer];
  assert.match(goOn.toString(), /^HTTP\/1\.1 100 Continue\r\n\r\n$/);
  const stopped = container.stop(graceSeconds);
  await container.logged('draining');
  socket.write(body);
  const answer = await firstAnswer(socket);
  assert.equal(answer.status, 202, answer.text);
  assert.equal(await stopped, 0);
  assert.deepEqual(await query(url, 'SELECT count(*)::int AS records FROM audit_records'), [{ records: 2 }]);
});

test('no shell, package manager or compiler waits for an intruder, and nothing of ours can be changed', {
  skip,
}, async () => {
  const container = (await docker('create', image)).trim();
  const files = await filesOf(container).finally(() => docker('rm', container));
  assert.ok(files.some(({ path }) => path === 'app/src/main.ts'));
  const tools = /(^|\/)(sh|bash|dash|busybox|npm|npx|corepack|cc|gcc|clang|make|ld|apt|dpkg|python3?|perl)$/;
  const unwanted = files.filter(({ path }) => tools.test(path) || /^app\/(?!node_modules\/).*\.test\.ts$/.test(path));
  assert.deepEqual(unwanted, []);
  const app = files.filter(({ path }) => path.startsWith('app/'));
  assert.deepEqual(
    app.filter(({ mode, owner }) => owner !== '0/0' || /^.....w|^........w/.test(mode)),
    [],
  );
  assert.notEqual((await runContainer(image, ['-c', 'true'], { flags: ['--entrypoint=sh'] })).exitCode, 0);
});

test('the image says what it is, runs as a number, and is small', { skip }, async () => {
  const [{ Config, Size }] = JSON.parse(await docker('image', 'inspect', image)) as [ImageDetails];
  assert.equal(Config.User, '65532:65532');
  for (const name of ['title', 'description', 'licenses', 'version', 'revision', 'source'])
    assert.ok(Config.Labels[`org.opencontainers.image.${name}`] !== undefined, name);
  assert.ok(Size < imageBytesMax, `${Size} bytes`);
  const history = await docker('history', '--no-trunc', '--format={{.CreatedBy}}', image);
  assert.doesNotMatch(history, /npm_config|_proxy/i);
});

test('built again from the same checkout it has the same layers: what runs can be traced to its source', {
  skip,
}, async (t) => {
  const again = `edgesentry-image-test:${process.pid}`;
  await docker('build', '--no-cache', '--network=host', '--quiet', `--tag=${again}`, join(import.meta.dirname, '..'));
  t.after(() => docker('image', 'rm', again));
  assert.deepEqual(await layersOf(again), await layersOf(image));
});

type ImageDetails = {
  readonly Size: number;
  readonly Config: { readonly User: string; readonly Labels: Readonly<Record<string, string>> };
};

async function layersOf(name: string): Promise<unknown> {
  return JSON.parse(await docker('image', 'inspect', '--format={{json .RootFS.Layers}}', name));
}

function portOf(listening: LogLine, which: 'ingest' | 'ops'): number {
  return (listening[which] as { port: number }).port;
}
