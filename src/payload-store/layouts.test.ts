import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Unavailable } from '../ingest/ports.ts';
import { admittedRecord, MemoryBlobs } from './fixtures.ts';
import { ObjectLayout } from './object-layout.ts';
import { Archive } from './payload-archive.ts';
import { decodeSegment } from './segment-format.ts';
import { SegmentLayout } from './segment-layout.ts';

const objects = (blobs: MemoryBlobs) => new Archive(blobs, new ObjectLayout(blobs, 4));
const segments = (blobs: MemoryBlobs, putsMax = 1) => new Archive(blobs, new SegmentLayout(blobs, putsMax));
const byHash = (hash: Buffer) => `records/${hash.toString('hex')}`;

test('a payload lies under the name that its device gave it, its record beside it', async () => {
  const blobs = new MemoryBlobs();
  const admitted = admittedRecord({ objectRef: 's3://somewhere/lift-01/1.bin' });
  const location = await objects(blobs).put(admitted);
  assert.deepEqual(location, { objectKey: 'lift-01/1.bin', offset: undefined, bytes: admitted.payload.length });
  assert.deepEqual(await objects(blobs).read(location), admitted.payload);
  assert.deepEqual(await objects(blobs).readStoredRecord(location), admitted.encoded);
});

test('the same record again is found again, not stored twice', async () => {
  const blobs = new MemoryBlobs();
  const first = await objects(blobs).put(admittedRecord({}));
  assert.deepEqual(await objects(blobs).put(admittedRecord({})), first);
  assert.equal(blobs.keys.length, 1);
});

test('an object that is already there is neither overwritten nor taken for the payload', async () => {
  const admitted = admittedRecord({});
  const foreign: [string, Buffer, Buffer | undefined][] = [
    ['no record', admitted.payload, undefined],
    ['another record', admitted.payload, admittedRecord({ sequence: 2n }).encoded],
    ['another length', Buffer.concat([admitted.payload, Buffer.from('.')]), admitted.encoded],
    ['other bytes under this record', Buffer.alloc(admitted.payload.length), admitted.encoded],
  ];
  for (const [what, content, record] of foreign) {
    const blobs = new MemoryBlobs();
    await blobs.putOnce(admitted.record.objectRef, content, record);
    const location = await objects(blobs).put(admitted);
    assert.equal(location.objectKey, byHash(admitted.recordHash), what);
    assert.deepEqual(await objects(blobs).read(location), admitted.payload, what);
    assert.deepEqual(blobs.contentOf(admitted.record.objectRef), content, what);
  }
});

test('credentials that may only write are enough, also for a retry', async () => {
  const blobs = new MemoryBlobs();
  blobs.writeOnly = true;
  const first = await objects(blobs).put(admittedRecord({}));
  const second = await objects(blobs).put(admittedRecord({}));
  const third = await objects(blobs).put(admittedRecord({}));
  assert.equal(first.objectKey, admittedRecord({}).record.objectRef);
  assert.equal(second.objectKey, byHash(admittedRecord({}).recordHash));
  assert.deepEqual(third, second);
});

test('a name that the store cannot hold costs no record', async () => {
  const blobs = new MemoryBlobs();
  blobs.unusable = /^lift-01/;
  assert.equal((await objects(blobs).put(admittedRecord({}))).objectKey, byHash(admittedRecord({}).recordHash));
});

test('a device cannot squat on the keys of the service', async () => {
  for (const objectRef of ['records/0000', 'segments/2024-01-01/x']) {
    const admitted = admittedRecord({ objectRef });
    assert.equal((await objects(new MemoryBlobs()).put(admitted)).objectKey, byHash(admitted.recordHash));
  }
});

test('nothing is called durable when the store refuses every key', async () => {
  const blobs = new MemoryBlobs();
  blobs.unusable = /./;
  await assert.rejects(objects(blobs).put(admittedRecord({})), Unavailable);
  await assert.rejects(segments(blobs).put(admittedRecord({})), Unavailable);
});

test('no more puts run at once than allowed, and a failed one frees its place', async () => {
  const blobs = new MemoryBlobs();
  blobs.failing = true;
  const archive = objects(blobs);
  const put = (index: number) => archive.put(admittedRecord({ objectRef: `lift-01/${index}` }));
  const failed = await Promise.allSettled(Array.from({ length: 10 }, (_, index) => put(index)));
  assert(failed.every(({ status }) => status === 'rejected'));
  blobs.failing = false;
  await Promise.all(Array.from({ length: 40 }, (_, index) => put(index)));
  assert.equal(blobs.runningMost, 4);
  assert.equal(blobs.keys.length, 40);
});

for (const [layout, Layout] of [
  ['object', ObjectLayout],
  ['segment', SegmentLayout],
] as const)
  test(`I7: what waits behind a store that hangs is answered in time and not begun, then all is well (${layout})`, async () => {
    const blobs = new MemoryBlobs();
    blobs.hanging = true;
    const deadlineMs = 500;
    const store = new Layout(blobs, 2, deadlineMs);
    // Eight fill a segment.
    const payload = Buffer.alloc(250 * 1024);
    const put = (index: number) => store.put(admittedRecord({ objectRef: `lift-01/${index}`, payload }));
    const start = performance.now();
    const puts = await Promise.allSettled(Array.from({ length: 40 }, (_, index) => put(index)));
    for (const put of puts) assert(put.status === 'rejected' && put.reason instanceof Unavailable);
    // Within it, but that a busy machine may notice late.
    assert(performance.now() - start < 2 * deadlineMs);
    assert.equal(blobs.begun, 2);
    blobs.hanging = false;
    await put(41);
  });

test('payloads that wait together share an object, and each is found in it with its record', async () => {
  const blobs = new MemoryBlobs();
  const archive = segments(blobs);
  const admitted = Array.from({ length: 50 }, (_, index) =>
    admittedRecord({ sequence: BigInt(index + 1), payload: Buffer.alloc(index, index) }),
  );
  const locations = await Promise.all(admitted.map((each) => archive.put(each)));
  assert.equal(blobs.keys.length, 1);
  assert.match(blobs.keys[0] ?? '', /^segments\/\d{4}-\d\d-\d\d\/[0-9a-f-]{36}$/);
  for (const [index, location] of locations.entries()) {
    assert.deepEqual(await archive.read(location), admitted[index]?.payload);
    assert.deepEqual(await archive.readStoredRecord(location), admitted[index]?.encoded);
  }
});

test('a segment stays within its bounds of bytes and records', async () => {
  const blobs = new MemoryBlobs();
  const large = Array.from({ length: 5 }, () => admittedRecord({ payload: Buffer.alloc(768 * 1024) }));
  const archive = segments(blobs);
  await Promise.all(large.map((each) => archive.put(each)));
  assert.deepEqual(blobs.framesPerObject(decodeSegment), [1, 2, 2]);
  await Promise.all(Array.from({ length: 1500 }, () => archive.put(admittedRecord({}))));
  assert.deepEqual(blobs.framesPerObject(decodeSegment), [1, 2, 2, 476, 1024]);
});

test('what one layout wrote is read after the layout was changed', async () => {
  const blobs = new MemoryBlobs();
  const admitted = admittedRecord({});
  const inSegment = await segments(blobs).put(admitted);
  const asObject = await objects(blobs).put(admitted);
  assert.deepEqual(await objects(blobs).readStoredRecord(inSegment), admitted.encoded);
  assert.deepEqual(await segments(blobs).readStoredRecord(asObject), admitted.encoded);
});
