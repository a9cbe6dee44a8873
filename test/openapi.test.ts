/** The document at /openapi.json and the server agree: on routes, methods, statuses, and on the shape of every answer. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { type Ledger, Unavailable } from '../src/ingest/ports.ts';
import { refusals } from '../src/record/rejection.ts';
import { routes } from '../src/transport/http/routes.ts';
import { exchange } from './support/raw-http.ts';
import { startService, type TestDevice, type TestService } from './support/service.ts';
import { bodyWith } from './vectors/envelopes.ts';

type Operation = {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Readonly<Record<string, DocumentedResponse>>;
};
type DocumentedResponse = { readonly description: string; readonly content: Readonly<Record<string, object>> };
type Document = {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
};

async function fetchDocument(service: TestService): Promise<Document> {
  return (await (await fetch(`${service.url}/openapi.json`)).json()) as Document;
}

/** Strict: a misspelt keyword of a schema is an error. */
function validatorOf(document: Document): Ajv2020 {
  const ajv = new Ajv2020({ strict: true, allErrors: true, keywords: ['openapi', 'info', 'paths', 'components'] });
  ajv.addFormat('int64', { type: 'number', validate: Number.isInteger });
  return ajv.addSchema(document, 'document');
}

const pointer = (...keys: string[]) =>
  `document#/${keys.map((key) => encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`;

const operationsOf = (document: Document) =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );

test('the document is OpenAPI 3.1, and every schema in it is one', async (t) => {
  await using service = await startService(t);
  const document = await fetchDocument(service);
  assert.match(document.openapi, /^3\.1\.\d+$/);
  assert.ok(document.info.title && document.info.version);
  const ajv = validatorOf(document);
  for (const name of Object.keys(document.components.schemas))
    assert.ok(ajv.getSchema(pointer('components', 'schemas', name)), name);
  const operations = operationsOf(document);
  assert.equal(new Set(operations.map(({ operation }) => operation.operationId)).size, operations.length);
  for (const { path, method, operation } of operations) {
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    const declared = (operation.parameters ?? []).filter((one) => one.in === 'path').map(({ name }) => name);
    assert.deepEqual(declared, inPath, `${method} ${path}`);
    for (const [status, response] of Object.entries(operation.responses)) {
      assert.match(status, /^[2-5]\d\d$/);
      assert.ok(response.description, `${method} ${path} ${status} has no description`);
      assert.equal(Object.keys(response.content).length, 1);
    }
  }
});

test('every route of the app is documented, with the methods that it takes and no other', async (t) => {
  await using service = await startService(t);
  const document = await fetchDocument(service);
  assert.deepEqual(
    Object.keys(document.paths).sort(),
    Object.values(routes)
      .map((route) => route.replace(/:(\w+)/g, '{$1}'))
      .sort(),
  );
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      const response = await fetch(service.url + path.replace('{id}', 'nobody'), { method });
      const taken = response.status !== 405;
      assert.equal(taken, method.toLowerCase() in operations, `${method} ${path}`);
      if (taken) continue;
      const allowed = (response.headers.get('allow') ?? '').toLowerCase().split(', ');
      assert.deepEqual(
        allowed.filter((name) => name !== 'head'),
        Object.keys(operations),
      );
    }
  }
});

type Answer = { readonly status: number; readonly type: string; readonly text: string };
type Bench = { readonly service: TestService; readonly device: TestDevice; readonly ledger: { away: boolean } };
type Exercise = (bench: Bench, method: string, path: string) => Promise<Answer>;

/** A request as the document describes it, but for what is overridden. */
async function ask({ service }: Bench, method: string, path: string, init: RequestInit = {}): Promise<Answer> {
  const type = path.endsWith('/batch') ? 'application/x-ndjson' : 'application/json';
  const headers = { ...(method === 'POST' && { 'Content-Type': type }), ...(init.headers as Record<string, string>) };
  const response = await fetch(service.url + path.replace('{id}', 'lift-01'), { method, ...init, headers });
  return { status: response.status, type: response.headers.get('content-type') ?? '', text: await response.text() };
}

async function askRaw({ service }: Bench, request: string): Promise<Answer> {
  const { status, headers, text } = await exchange(service.port, request);
  return { status, type: headers.get('content-type') ?? '', text };
}

/** An address of its own for what uses up a rate, so that the other requests have theirs. */
const flooder = '198.51.100.1';
/** More than any test asks. */
const sourceRate = { perSecond: 0.001, burst: 50 };

/** How each status is reached, on any route. */
const everywhere: Readonly<Record<string, Exercise>> = {
  400: (bench, method, path) => askRaw(bench, `${method} ${path.replace('{id}', 'a')} HTTP/1.1\r\n\r\n`),
  403: (bench, method, path) => ask(bench, method, path, { headers: { 'X-Forwarded-For': '203.0.113.9' } }),
  405: (bench, _method, path) => ask(bench, 'DELETE', path),
  415: (bench, method, path) => ask(bench, method, path, { headers: { 'Content-Type': 'text/plain' }, body: 'x' }),
  429: async (bench, method, path) => {
    const flood = { headers: { 'X-Forwarded-For': flooder } };
    for (let i = 0; i < sourceRate.burst; i++) await ask(bench, method, path, flood);
    return ask(bench, method, path, flood);
  },
  431: (bench, method, path) => ask(bench, method, path, { headers: { 'X-Filler': 'x'.repeat(20_000) } }),
};

/** How it is reached on one route. */
const onRoute: Readonly<Record<string, Readonly<Record<string, Exercise>>>> = {
  ingest: {
    202: (bench, method, path) => ask(bench, method, path, { body: bench.device.nextBody() }),
    400: (bench, method, path) => ask(bench, method, path, { body: '{}' }),
    413: (bench, method, path) => ask(bench, method, path, { body: ' '.repeat(1024 * 1024) }),
    422: async (bench, method, path) => {
      const body = bench.device.nextBody();
      await ask(bench, method, path, { body });
      return ask(bench, method, path, { body });
    },
    503: (bench, method, path) => {
      bench.ledger.away = true;
      return ask(bench, method, path, { body: bench.device.nextBody() });
    },
  },
  ingestBatch: {
    200: async (bench, method, path) => {
      const sound = bench.device.nextBodies(2);
      const before = await ask(bench, method, path, { body: [...sound, ...sound, '[]'].join('\n') });
      bench.ledger.away = true;
      const after = await ask(bench, method, path, { body: bench.device.nextBody() });
      return { ...before, text: before.text + after.text };
    },
  },
  deviceHead: {
    200: ask,
    404: (bench, method) => ask(bench, method, '/api/v1/devices/nobody/head'),
    503: (bench, method, path) => {
      bench.ledger.away = true;
      return ask(bench, method, path);
    },
  },
  openapi: { 200: ask },
};

/** What no request of this table gets, and why. */
const notExercised: Readonly<Record<string, string>> = {
  408: 'costs the deadline for headers, 10 s: http-connections.test.ts has it',
};

async function openBench(t: TestContext): Promise<Bench & AsyncDisposable> {
  const state = { away: false };
  const fail = () => Promise.reject(new Unavailable('ledger', 'away'));
  const wrapLedger = (ledger: Ledger): Ledger => ({
    commit: (batch) => (state.away ? fail() : ledger.commit(batch)),
    readHeads: (ids) => (state.away ? fail() : ledger.readHeads(ids)),
    readRecordHashes: (places) => (state.away ? fail() : ledger.readRecordHashes(places)),
  });
  const trust = { allowedSources: ['127.0.0.1', flooder], trustedProxies: ['127.0.0.1'] };
  const service = await startService(t, { ...trust, wrapLedger, limits: { source: sourceRate } });
  return {
    service,
    device: await service.device('lift-01'),
    ledger: state,
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  };
}

test('every documented answer can be had, and is what the document says', async (t) => {
  await using bench = await openBench(t);
  const document = await fetchDocument(bench.service);
  const ajv = validatorOf(document);
  for (const { path, method, operation } of operationsOf(document)) {
    for (const [status, { content }] of Object.entries(operation.responses)) {
      const exercise = onRoute[operation.operationId]?.[status] ?? everywhere[status];
      const what = `${method.toUpperCase()} ${path} ${status}`;
      if (exercise === undefined) {
        assert.ok(notExercised[status], `${what} is documented and never asked for`);
        continue;
      }
      await t.test(what, async () => {
        bench.ledger.away = false;
        const answer = await exercise(bench, method.toUpperCase(), path);
        assert.equal(String(answer.status), status, answer.text);
        const [mediaType = ''] = Object.keys(content);
        assert.equal(answer.type.split(';')[0], mediaType);
        const validate = ajv.getSchema(
          pointer('paths', path, method, 'responses', status, 'content', mediaType, 'schema'),
        );
        assert.ok(validate);
        const texts = mediaType === 'application/x-ndjson' ? answer.text.trimEnd().split('\n') : [answer.text];
        for (const text of texts) assert.ok(validate(JSON.parse(text)), `${text}: ${ajv.errorsText(validate.errors)}`);
      });
    }
  }
});

test('every status that a refusal can have is documented', async (t) => {
  await using service = await startService(t);
  const documented = operationsOf(await fetchDocument(service)).flatMap(({ operation }) =>
    Object.keys(operation.responses),
  );
  const undocumented = Object.values(refusals).filter(({ status }) => !documented.includes(String(status)));
  assert.deepEqual(undocumented, []);
});

const wrongBodies: readonly (readonly [what: string, body: Buffer])[] = [
  ['an unknown field', bodyWith({ site: '"x"' })],
  ['a sequence of 0', bodyWith({ sequence: '0' })],
  ['a negative time', bodyWith({ timestamp_ms: '-1' })],
  ['odd hex', bodyWith({ payload_hash: '"abc"' })],
  ['a short signature', bodyWith({ signature: '"00"' })],
  ['a byte of 256', bodyWith({ prev_record_hash: `[${Array(32).fill(256).join(',')}]` })],
  ['an empty device', bodyWith({ device_id: '""' })],
  ['an empty reference', bodyWith({ object_ref: '""' })],
  ['an odd payload', bodyWith({}, '"abc"')],
];

test('what the document calls an envelope is judged, and what it does not is malformed', async (t) => {
  await using bench = await openBench(t);
  const document = await fetchDocument(bench.service);
  const ajv = validatorOf(document);
  const validate = ajv.getSchema(pointer('components', 'schemas', 'Envelope'));
  assert.ok(validate);
  const arrays = `[${Array(64).fill(0).join(',')}]`;
  for (const sound of [bench.device.nextBody(), bodyWith({}).toString(), bodyWith({ signature: arrays }).toString()]) {
    assert.ok(validate(JSON.parse(sound)), ajv.errorsText(validate.errors));
    assert.notEqual((await ask(bench, 'POST', routes.ingest, { body: sound })).status, 400);
  }
  for (const [what, body] of wrongBodies) {
    assert.equal(validate(JSON.parse(body.toString())), false, what);
    assert.equal((await ask(bench, 'POST', routes.ingest, { body: body.toString() })).status, 400, what);
  }
});
