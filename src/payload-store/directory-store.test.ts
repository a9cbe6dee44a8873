import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { Unavailable } from '../ingest/ports.ts';
import { type ListedBlob, PayloadMissing } from './blobs.ts';
import { DirectoryBlobs } from './directory-blobs.ts';
import { admittedRecord } from './fixtures.ts';
import { openDirectoryReader, openDirectoryStore } from './open.ts';
import { type PayloadArchive, payloadLayouts } from './payload-archive.ts';

async function temporaryDirectory(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'edgesentry-store-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

async function listed(store: Pick<PayloadArchive, 'list'>): Promise<ListedBlob[]> {
  return Array.fromAsync(store.list(new AbortController().signal));
}

for (const layout of payloadLayouts) {
  test(`payload and record are there for the next process, layout ${layout}`, async () => {
    await using directory = await temporaryDirectory();
    const admitted = [Buffer.alloc(0), Buffer.from('one'), Buffer.alloc(100_000, 7)].map((payload, index) =>
      admittedRecord({ sequence: BigInt(index + 1), objectRef: `lift-01/${index}`, payload }),
    );
    await using writer = await openDirectoryStore({ directory: directory.path, layout });
    const locations = await Promise.all(admitted.map((each) => writer.put(each)));
    const sameDirectory = `./${relative('.', directory.path)}/`;
    await using reader = await openDirectoryStore({ directory: sameDirectory, layout });
    for (const [index, location] of locations.entries()) {
      assert.deepEqual(await reader.read(location), admitted[index]?.payload);
      assert.deepEqual(await reader.readStoredRecord(location), admitted[index]?.encoded);
    }
    await reader.check();
  });
}

test('of many puts of one key exactly one creates it, across processes', async () => {
  await using directory = await temporaryDirectory();
  const stores = await Promise.all([1, 2, 3].map(() => DirectoryBlobs.open(directory.path)));
  const puts = stores.flatMap((store) =>
    Array.from({ length: 10 }, (_, index) => store.putOnce('lift-01/1.bin', Buffer.from(`${index}`), undefined)),
  );
  const outcomes = await Promise.all(puts);
  assert.equal(outcomes.filter((outcome) => outcome === 'created').length, 1);
  assert.equal(outcomes.filter((outcome) => outcome === 'taken').length, 29);
});

test('a second record that claims the same object is stored by its hash, the first stays', async () => {
  await using directory = await temporaryDirectory();
  await using store = await openDirectoryStore({ directory: directory.path, layout: 'object' });
  const first = admittedRecord({ payload: Buffer.from('first') });
  const second = admittedRecord({ sequence: 2n, payload: Buffer.from('second') });
  const [firstAt, secondAt] = [await store.put(first), await store.put(second)];
  assert.equal(secondAt.objectKey, `records/${second.recordHash.toString('hex')}`);
  assert.deepEqual(await store.read(firstAt), first.payload);
  assert.deepEqual(await store.put(first), firstAt);
  assert.equal((await listed(store)).length, 2);
});

test('the listing has every key once, in the order of its bytes, and nothing that a crash left', async () => {
  await using directory = await temporaryDirectory();
  const x80 = 'x'.repeat(80);
  const keys = [
    'a',
    'a/b',
    'a-b',
    'a.object',
    'a.object/c',
    'a0',
    'A',
    'a/../b',
    'é',
    'z\u{ffff}',
    'z\u{10000}',
    '%41',
  ];
  keys.push('.tmp/x', x80, `${x80}/y`, `${x80}!`, `${x80}0/y`, `${'x'.repeat(79)}`, 'ü'.repeat(500));
  {
    await using store = await DirectoryBlobs.open(directory.path);
    for (const key of keys) assert.equal(await store.putOnce(key, Buffer.from(key), undefined), 'created');
  }
  await writeFile(join(directory.path, '.tmp', 'cut-off'), 'edgesentry-object-1 {"key":"b"');
  await using store = await DirectoryBlobs.open(directory.path);
  const expected = keys.map((key) => Buffer.from(key)).sort(Buffer.compare);
  assert.deepEqual(
    await listed(store),
    expected.map((key) => ({ key: key.toString(), bytes: key.length })),
  );
});

test('a put leaves no temporary file, and what a dead process left long ago is removed', async () => {
  await using directory = await temporaryDirectory();
  const leftovers = join(directory.path, '.tmp');
  await using first = await openDirectoryStore({ directory: directory.path, layout: 'object' });
  await first.put(admittedRecord({}));
  assert.deepEqual(await readdir(leftovers), []);
  await writeFile(join(leftovers, 'old'), '');
  await writeFile(join(leftovers, 'in-use'), '');
  await utimes(join(leftovers, 'old'), new Date(0), new Date(0));
  await using _ = await openDirectoryStore({ directory: directory.path, layout: 'object' });
  assert.deepEqual(await readdir(leftovers), ['in-use']);
});

test('who only reads changes nothing, and is told when there is no such directory', async () => {
  await using directory = await temporaryDirectory();
  await using store = await openDirectoryStore({ directory: directory.path, layout: 'object' });
  const admitted = admittedRecord({});
  const location = await store.put(admitted);
  const leftover = join(directory.path, '.tmp', 'old');
  await writeFile(leftover, '');
  await utimes(leftover, new Date(0), new Date(0));
  await using reader = await openDirectoryReader(directory.path);
  assert(reader !== undefined);
  assert.deepEqual(await reader.read(location), admitted.payload);
  assert.deepEqual(await reader.readStoredRecord(location), admitted.encoded);
  assert.equal((await listed(reader)).length, 1);
  assert.deepEqual(await readdir(join(directory.path, '.tmp')), ['old']);
  for (const missing of [join(directory.path, 'typo'), join(leftover, 'below')])
    assert.equal(await openDirectoryReader(missing), undefined);
  assert.deepEqual((await readdir(directory.path)).sort(), ['.tmp', 'lift-01']);
});

test('a directory that cannot be made is Unavailable at once, not tried for ever', async () => {
  await using directory = await temporaryDirectory();
  await writeFile(join(directory.path, 'file'), '');
  await symlink(join(directory.path, 'gone'), join(directory.path, 'link'));
  await mkdir(join(directory.path, 'folder'));
  for (const name of ['file', 'file/store', 'link/store', 'link'])
    await assert.rejects(openDirectoryStore({ directory: join(directory.path, name), layout: 'object' }), Unavailable);
  await using made = await openDirectoryStore({
    directory: join(directory.path, 'folder', 'a', 'b'),
    layout: 'object',
  });
  await made.check();
});

test('what is not there is told from what cannot be read', async () => {
  await using directory = await temporaryDirectory();
  await using store = await openDirectoryStore({ directory: directory.path, layout: 'object' });
  const location = await store.put(admittedRecord({}));
  await assert.rejects(store.read({ ...location, objectKey: 'lift-01/other' }), PayloadMissing);
  await assert.rejects(store.read({ ...location, bytes: location.bytes - 1 }), PayloadMissing);
  await assert.rejects(store.read({ ...location, offset: 1 }), PayloadMissing);
  await assert.rejects(store.readStoredRecord({ ...location, objectKey: 'lift-01/other' }), PayloadMissing);
  await rm(directory.path, { recursive: true });
  await assert.rejects(store.check(), Unavailable);
  await assert.rejects(store.put(admittedRecord({ objectRef: 'lift-01/2' })), Unavailable);
});

test('a payload can be read without the service, in a directory that the store made', async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, 'made', 'on', 'the', 'way');
  await using store = await openDirectoryStore({ directory: path, layout: 'object' });
  await store.put(admittedRecord({ payload: Buffer.from('door opened\n') }));
  const file = await readFile(join(path, 'lift-01', '000001.bin.object'), 'utf8');
  assert.deepEqual(file.split('\n').slice(1), ['door opened', '']);
});
