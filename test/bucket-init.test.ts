/** `initBucket` against stores that are slow to come, forgetful, or less than S3: a small one that keeps what it is put. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import test, { type TestContext } from 'node:test';
import { type BucketRequest, emptyBucket } from '../src/payload-store/bucket-state.ts';
import { BucketLacks, type InitOptions, initBucket } from '../src/payload-store/init-bucket.ts';
import { StoreAway } from '../src/payload-store/s3-bucket.ts';

/** What S3 answers for a part that was never put; the others are empty then. */
const absent: Readonly<Record<string, string>> = {
  'object-lock': 'ObjectLockConfigurationNotFoundError',
  encryption: 'ServerSideEncryptionConfigurationNotFoundError',
  lifecycle: 'NoSuchLifecycleConfiguration',
};

type Faults = {
  /** How many requests are answered 503 before the first that is not. */
  away?: number;
  /** Parts of the configuration that are answered 501. */
  unknown?: readonly string[];
  /** Parts that are taken and not kept. */
  forgotten?: readonly string[];
};

/** A bucket whose configuration is the XML that was put, part by part. */
async function startStore(t: TestContext, { away = 0, unknown = [], forgotten = [] }: Faults = {}) {
  const kept = new Map<string, string>();
  const puts: string[] = [];
  let awayLeft = away;
  const server = createServer(async (request, response) => {
    const body = await text(request);
    if (awayLeft-- > 0) return void response.writeHead(503).end();
    const part = request.url?.split('?')[1]?.split('=')[0] ?? '';
    if (unknown.includes(part)) return refuse(response, 501, 'NotImplemented');
    if (request.method === 'PUT') {
      puts.push(part);
      if (!forgotten.includes(part)) kept.set(part, body);
      return void response.end();
    }
    if (!kept.has('')) return refuse(response, 404, 'NoSuchBucket');
    const code = kept.has(part) ? undefined : absent[part];
    if (code !== undefined) return refuse(response, 404, code);
    response.end(kept.get(part) ?? '<Nothing/>');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, puts, kept };
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status).end(`<Error><Code>${code}</Code><Message>as told</Message></Error>`);
}

const nothing: BucketRequest = { ...emptyBucket, tiers: [], expireDays: undefined };
/** The tiers of the guide for edgesentry-rs. */
const guideTiers = [
  { storageClass: 'STANDARD_IA', days: 90 },
  { storageClass: 'GLACIER_IR', days: 365 },
];

function init(endpoint: string, request: Partial<BucketRequest>, options: Partial<InitOptions> = {}) {
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  return initBucket(
    { bucket: 'records', endpoint, forcePathStyle: true, credentials },
    { ...nothing, ...request },
    { signal: new AbortController().signal, waitMs: 0, onWait: () => {}, ...options },
  );
}

test('payloads grow cheaper by tiers, set once; a tier that was set stays when an expiry is added', async (t) => {
  const { endpoint, puts, kept } = await startStore(t);
  const first = await init(endpoint, { tiers: guideTiers });
  assert.deepEqual(first.state.lifecycle, { tiers: guideTiers, expireDays: undefined, oldVersionDays: undefined });
  assert.match(kept.get('lifecycle') ?? '', /<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</);
  assert.doesNotMatch(kept.get('lifecycle') ?? '', /Expiration/, 'nothing is deleted that nobody asked to delete');
  assert.deepEqual((await init(endpoint, { tiers: guideTiers })).changed, []);
  assert.deepEqual(puts, ['', 'lifecycle']);
  const second = await init(endpoint, { expireDays: 2555 });
  assert.deepEqual(second.changed, ['lifecycle']);
  assert.deepEqual(second.state.lifecycle, { tiers: guideTiers, expireDays: 2555, oldVersionDays: 30 });
  await assert.rejects(init(endpoint, { expireDays: 365 }), /expiry after 365 days has to come later than GLACIER_IR/);
});

test('everything at once is kept and read back', async (t) => {
  const { endpoint, puts } = await startStore(t);
  const retention = { mode: 'governance', days: 30 } as const;
  const encryption = { algorithm: 'aws:kms', keyId: 'key-1' } as const;
  const request = { objectLock: true, retention, encryption, tiers: guideTiers, expireDays: 2555 };
  const { created, state } = await init(endpoint, request);
  assert.equal(created, true);
  const lifecycle = { tiers: guideTiers, expireDays: 2555, oldVersionDays: 30 };
  assert.deepEqual(state, { versioning: true, objectLock: true, retention, encryption, lifecycle });
  assert.deepEqual(puts, ['', 'versioning', 'object-lock', 'encryption', 'lifecycle']);
  assert.deepEqual((await init(endpoint, request)).changed, []);
});

test('what somebody changed by hand is put right, and two years are 730 days', async (t) => {
  const { endpoint, kept } = await startStore(t);
  const request = { objectLock: true, retention: { mode: 'compliance', days: 730 }, expireDays: 730 } as const;
  await init(endpoint, request);
  const edit = (part: string, from: string, to: string) => {
    const xml = kept.get(part) ?? '';
    assert.ok(xml.includes(from), xml);
    kept.set(part, xml.replace(from, to));
  };
  edit('object-lock', '<Days>730</Days>', '<Years>2</Years>');
  assert.deepEqual((await init(endpoint, request)).changed, []);
  edit('lifecycle', '<Status>Enabled</Status>', '<Status>Disabled</Status>');
  assert.deepEqual((await init(endpoint, request)).changed, ['lifecycle']);
  edit('lifecycle', '<Prefix></Prefix>', '<Prefix>lift-01/</Prefix>');
  assert.deepEqual((await init(endpoint, request)).changed, ['lifecycle']);
});

test('a store that says yes and keeps nothing is found out by what is read back', async (t) => {
  const { endpoint } = await startStore(t, { forgotten: ['object-lock', 'lifecycle'] });
  const outcome = init(endpoint, { objectLock: true, expireDays: 30 });
  await assert.rejects(outcome, (error) => {
    assert.ok(error instanceof BucketLacks);
    assert.match(error.message, /lacks what was asked for.*: object lock, lifecycle rule$/);
    return true;
  });
});

test('a store that knows no versioning and no lock is used without, and refuses when they are asked for', async (t) => {
  const { endpoint } = await startStore(t, { unknown: ['versioning', 'object-lock'] });
  assert.deepEqual((await init(endpoint, {})).state, emptyBucket);
  await assert.rejects(init(endpoint, { versioning: true }), /the store does not offer versioning/);
});

test('a Job that starts before its store waits for it, and no longer than it was told to', async (t) => {
  const late = await startStore(t, { away: 6 });
  const reasons: string[] = [];
  const { created } = await init(late.endpoint, {}, { waitMs: 60_000, onWait: (reason) => reasons.push(reason) });
  assert.equal(created, true);
  assert.match(reasons.join('\n'), /cannot look at bucket records: .*503/);

  const gone = await startStore(t, { away: Infinity });
  await assert.rejects(init(gone.endpoint, {}, { waitMs: 0 }), StoreAway);
});

test('a Job that is told to end does not wait on', async (t) => {
  const { endpoint } = await startStore(t, { away: Infinity });
  const ending = new AbortController();
  const waiting = init(endpoint, {}, { signal: ending.signal, waitMs: 60_000, onWait: () => ending.abort() });
  await assert.rejects(waiting, { name: 'AbortError' });
});
