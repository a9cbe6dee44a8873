/** The S3 store against a real MinIO, and through a proxy that loses, stalls and refuses. */
import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { type AdmittedRecord, type PayloadLocation, Unavailable } from '../src/ingest/ports.ts';
import { type ListedBlob, LookForbidden, PayloadMissing } from '../src/payload-store/blobs.ts';
import { admittedRecord } from '../src/payload-store/fixtures.ts';
import { openS3Store, type S3StoreOptions } from '../src/payload-store/open.ts';
import { type PayloadArchive, payloadLayouts } from '../src/payload-store/payload-archive.ts';
import { type Minio, minioMissing, startMinio } from './support/minio.ts';
import { type S3FaultProxy, startS3FaultProxy } from './support/s3-fault-proxy.ts';

let minio: Minio | undefined;
let buckets = 0;

before(async () => {
  minio = await startMinio();
});
after(async () => {
  await minio?.[Symbol.asyncDispose]();
});

type Setting = { minio: Minio; bucket: string; open: (more?: Partial<S3StoreOptions>) => PayloadArchive };

function s3Test(title: string, body: (setting: Setting) => Promise<void>): void {
  test(title, async (t: TestContext) => {
    if (minio === undefined) {
      t.skip(minioMissing);
      return;
    }
    const bucket = `bucket-${++buckets}`;
    await minio.makeBucket(bucket);
    const { endpoint, credentials } = minio;
    const fixed = { bucket, endpoint, credentials, forcePathStyle: true };
    await body({ minio, bucket, open: (more) => openS3Store({ layout: 'object', ...fixed, ...more }) });
  });
}

const listed = (store: PayloadArchive): Promise<ListedBlob[]> =>
  Array.fromAsync(store.list(new AbortController().signal));
const keysOf = async (store: PayloadArchive) => (await listed(store)).map(({ key }) => key);
const byHash = ({ recordHash }: AdmittedRecord) => `records/${recordHash.toString('hex')}`;

async function assertHolds(store: PayloadArchive, location: PayloadLocation, admitted: AdmittedRecord): Promise<void> {
  assert.deepEqual(await store.read(location), admitted.payload);
  assert.deepEqual(await store.readStoredRecord(location), admitted.encoded);
}

for (const layout of payloadLayouts) {
  s3Test(`payload and record come back byte for byte, layout ${layout}`, async ({ open }) => {
    await using store = open({ layout });
    await store.check();
    const payloads = [Buffer.alloc(0), Buffer.from('one'), Buffer.alloc(3 * 1024 * 1024, 7), Buffer.alloc(0)];
    const admitted = payloads.map((payload, index) => admittedRecord({ objectRef: `lift-01/${index}`, payload }));
    const locations = await Promise.all(admitted.map((each) => store.put(each)));
    for (const [index, location] of locations.entries())
      await assertHolds(store, location, admitted[index] as AdmittedRecord);
  });
}

s3Test('the longest record fits into the metadata of its object, the longest name into its key', async ({ open }) => {
  await using store = open();
  const objectRef = `${'d'.repeat(250)}/${'p'.repeat(250)}/${'q'.repeat(250)}/${'r'.repeat(250)}`.padEnd(1024, 's');
  const longest = admittedRecord({ deviceId: 'd'.repeat(255), sequence: 2n ** 63n - 1n, objectRef });
  await assertHolds(store, await store.put(longest), longest);
});

s3Test('of many puts of one key exactly one creates it, the others go by their hash', async ({ open }) => {
  await using store = open();
  const rivals = Array.from({ length: 12 }, (_, index) => admittedRecord({ sequence: BigInt(index + 1) }));
  const locations = await Promise.all(rivals.map((each) => store.put(each)));
  assert.equal(locations.filter(({ objectKey }) => objectKey === 'lift-01/000001.bin').length, 1);
  assert.equal((await listed(store)).length, rivals.length);
  for (const [index, location] of locations.entries())
    await assertHolds(store, location, rivals[index] as AdmittedRecord);
});

s3Test('names that need care are kept, and a name that MinIO cannot hold costs no record', async ({ open }) => {
  await using store = open();
  const names = ['lift 01/a+b', 'lift-01/é\u{1f600}', 'lift-01/%41', 'lift-01/a&b<c>"d"', 'lift-01/000001.bin'];
  const tooLong = admittedRecord({ objectRef: `lift-01/${'x'.repeat(300)}` });
  const admitted = [...names.map((objectRef) => admittedRecord({ objectRef })), tooLong];
  for (const each of admitted) await assertHolds(store, await store.put(each), each);
  const expected = [...names, byHash(tooLong)].map((key) => Buffer.from(key)).sort(Buffer.compare);
  assert.deepEqual(await keysOf(store), expected.map(String));
  const below = admittedRecord({ objectRef: 'lift-01/000001.bin/below' });
  await assertHolds(store, await store.put(below), below);
});

s3Test('the listing is complete and in order over many pages', async ({ open }) => {
  await using store = open();
  const names = Array.from({ length: 1100 }, (_, index) => `lift-${index % 7}/${index}-é.bin`);
  names.push('lift-1-x/1', 'lift-1.x/1', 'LIFT-1/1', 'lift-10/1');
  await Promise.all(names.map((objectRef) => store.put(admittedRecord({ objectRef, payload: Buffer.alloc(3) }))));
  const expected = names.map((name) => Buffer.from(name)).sort(Buffer.compare);
  assert.deepEqual(
    await listed(store),
    expected.map((name) => ({ key: name.toString(), bytes: 3 })),
  );
  const stopped = AbortSignal.abort(new Error('stopped'));
  await assert.rejects(Array.fromAsync(store.list(stopped)), /stopped/);
});

s3Test('credentials that may only put objects are enough for admission', async ({ minio, open }) => {
  await using store = open({ credentials: await minio.writeOnlyCredentials() });
  await store.check();
  const first = admittedRecord({});
  assert.equal((await store.put(first)).objectKey, 'lift-01/000001.bin');
  const again = await store.put(first);
  assert.equal(again.objectKey, byHash(first));
  assert.deepEqual(await store.put(first), again);
  await assert.rejects(store.read(again), LookForbidden);
  await using reader = open();
  await assertHolds(reader, again, first);
});

s3Test('what is not there is told from what cannot be reached', async ({ open }) => {
  await using store = open();
  const location = await store.put(admittedRecord({}));
  await assert.rejects(store.read({ ...location, objectKey: 'lift-01/other' }), PayloadMissing);
  await assert.rejects(store.read({ ...location, bytes: location.bytes - 1 }), PayloadMissing);
  await assert.rejects(store.read({ ...location, offset: location.bytes + 1, bytes: 1 }), PayloadMissing);
  await assert.rejects(store.read({ ...location, offset: 1 }), PayloadMissing);
  await assert.rejects(store.read({ ...location, offset: location.bytes + 1, bytes: 0 }), PayloadMissing);
  await assert.rejects(store.readStoredRecord({ ...location, objectKey: 'lift-01/other' }), PayloadMissing);
});

s3Test('wrong credentials and a missing bucket are named, and no secret is', async ({ minio, open }) => {
  const { accessKeyId, secretAccessKey } = minio.credentials;
  const wrong: [Partial<S3StoreOptions>, RegExp][] = [
    [{ bucket: 'no-such-bucket' }, /no-such-bucket.*: the bucket does not exist: create it/],
    [{ credentials: { accessKeyId, secretAccessKey: 'not-the-secret' } }, /does not accept the credentials/],
    [{ credentials: { accessKeyId: 'nobody-known', secretAccessKey } }, /does not accept the credentials/],
  ];
  for (const [options, reason] of wrong) {
    await using store = open(options);
    for (const work of [() => store.check(), () => store.put(admittedRecord({}))])
      await assert.rejects(work, (error) => {
        assert(error instanceof Unavailable);
        assert.match(error.message, reason);
        const told = error.message + JSON.stringify(error);
        for (const secret of ['not-the-secret', 'nobody-known', secretAccessKey, 'payload of'])
          assert(!told.includes(secret), secret);
        return true;
      });
  }
});

/** Runs with a store behind a proxy; `direct` is the same store without it. */
function faultTest(
  title: string,
  body: (setting: {
    proxy: S3FaultProxy;
    direct: PayloadArchive;
    open: (more?: Partial<S3StoreOptions>) => PayloadArchive;
  }) => Promise<void>,
): void {
  s3Test(title, async ({ minio, open }) => {
    await using proxy = await startS3FaultProxy(minio.endpoint);
    await using direct = open();
    await body({ proxy, direct, open: (more) => open({ endpoint: proxy.endpoint, ...more }) });
  });
}

for (const layout of payloadLayouts) {
  faultTest(`a lost answer does not store twice, layout ${layout}`, async ({ proxy, direct, open }) => {
    await using store = open({ layout });
    proxy.inject((_, index) => (index === 0 ? 'lose-answer' : 'pass'));
    const admitted = admittedRecord({});
    const location = await store.put(admitted);
    assert.deepEqual(await keysOf(direct), [location.objectKey]);
    await assertHolds(direct, location, admitted);
    assert.equal(proxy.seen.filter((request) => request.startsWith('PUT')).length, 2);
  });
}

faultTest('a put that fails on its way is tried again', async ({ proxy, direct, open }) => {
  const faults = ['cut-request', 503, 500, 409, 'pass'] as const;
  await using store = open();
  proxy.inject((_, index) => faults[index] ?? 'pass');
  const admitted = admittedRecord({});
  await assertHolds(direct, await store.put(admitted), admitted);
  assert.equal((await listed(direct)).length, 1);
});

faultTest('a store that stalls is Unavailable within the bound, and is used again', async ({ proxy, open }) => {
  await using store = open({ attemptTimeoutMs: 200, deadlineMs: 600 });
  proxy.inject(() => 'stall');
  const admitted = admittedRecord({});
  for (const work of [() => store.put(admitted), () => store.check()]) {
    const start = performance.now();
    await assert.rejects(work, (error) => error instanceof Unavailable && /did not answer in time/.test(error.message));
    assert(performance.now() - start < 4_000);
  }
  proxy.inject(() => 'pass');
  await assertHolds(store, await store.put(admitted), admitted);
});

for (const layout of payloadLayouts) {
  test(`I7: a store that hangs keeps no caller longer than a put's deadline, however many wait (${layout})`, async () => {
    await using proxy = await startS3FaultProxy('http://127.0.0.1:9');
    proxy.inject(() => 'stall');
    const credentials = { accessKeyId: 'any', secretAccessKey: 'any' };
    const bounds = { putsMax: 4, attemptTimeoutMs: 300, deadlineMs: 600, putDeadlineMs: 1000 };
    const { endpoint } = proxy;
    // Eight fill a segment.
    const payload = Buffer.alloc(250 * 1024);
    await using store = openS3Store({ bucket: 'any', endpoint, credentials, forcePathStyle: true, layout, ...bounds });
    const start = performance.now();
    const answeredMs = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const admitted = admittedRecord({ objectRef: `lift-01/${index}`, payload });
        await assert.rejects(store.put(admitted), Unavailable);
        return performance.now() - start;
      }),
    );
    // A busy machine may notice late; without the bound the last round of puts would answer after several times that.
    assert(Math.max(...answeredMs) < 2 * bounds.putDeadlineMs, `${Math.max(...answeredMs)} ms`);
    const asked = new Set(proxy.seen.map((request) => request.split('?')[0]));
    assert(asked.size <= 3 * bounds.putsMax, `${asked.size} puts were begun`);
  });
}

faultTest('a store that refuses for good is asked once', async ({ proxy, open }) => {
  await using store = open();
  proxy.inject(() => 403);
  await assert.rejects(store.put(admittedRecord({})), Unavailable);
  proxy.inject(() => 501);
  await assert.rejects(store.put(admittedRecord({})), /If-None-Match/);
  assert.equal(proxy.seen.length, 2);
});

faultTest('a store that is closed waits for nothing', async ({ proxy, open }) => {
  const store = open();
  proxy.inject(() => 503);
  const put = assert.rejects(store.put(admittedRecord({})), Unavailable);
  await store[Symbol.asyncDispose]();
  await put;
});

s3Test('a store that is restarted keeps what it acknowledged', async ({ minio, open }) => {
  await using store = open();
  const admitted = admittedRecord({});
  const location = await store.put(admitted);
  await minio.kill();
  await assert.rejects(store.check(), Unavailable);
  await minio.start();
  await assertHolds(store, location, admitted);
});
