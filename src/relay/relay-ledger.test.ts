import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestDevice } from '../../test/support/service.ts';
import { BatchRefused, type RejectedDecision } from '../ingest/ports.ts';
import { genesis } from '../record/record.ts';
import { admitted, openStores, runOf } from './fixtures.ts';

const rejection: RejectedDecision = {
  decisionId: 'decision',
  deviceId: 'lift-1',
  sequence: 9n,
  code: 'invalid_sequence',
  message: 'out of order',
  source: undefined,
  count: 1,
  evidence: undefined,
};
const takeAll = { after: 0n, held: new Set<string>(), recordsMax: 1000, bytesMax: 1e9 };

test('what was committed waits for the centre as it came, and moves the head', async (t) => {
  const { ledger, queue } = openStores(t);
  const device = new TestDevice('lift-1');
  const sent = [device.next(), device.next(), device.next()];
  const inserted = await ledger.commit({ runs: [await runOf(sent)], rejections: [] });
  assert.deepEqual([...inserted], ['lift-1']);
  assert.deepEqual(
    queue.take(takeAll).map(({ envelope }) => envelope),
    sent,
  );
  assert.deepEqual(await ledger.readHeads(['lift-1', 'lift-2']), [device.head, genesis]);
});

test('a run that was judged against another head is lost, and its neighbour in the batch is not', async (t) => {
  const { ledger, queue } = openStores(t);
  const [one, other] = [new TestDevice('lift-1'), new TestDevice('lift-2')];
  await ledger.commit({ runs: [await runOf([one.next()])], rejections: [] });
  const inserted = await ledger.commit({
    runs: [await runOf([one.rival('rival')]), await runOf([other.next()])],
    rejections: [],
  });
  assert.deepEqual([...inserted], ['lift-2']);
  assert.equal(queue.figures().records, 2);
});

test('a full queue takes nothing of a batch, and still keeps refusals', async (t) => {
  const device = new TestDevice('lift-1');
  const first = device.next();
  const { encoded, payload } = admitted(first);
  const { ledger, queue, database } = openStores(t, encoded.length + payload.length);
  await ledger.commit({ runs: [await runOf([first])], rejections: [] });
  const full = { runs: [await runOf([device.next()])], rejections: [rejection] };
  await assert.rejects(ledger.commit(full), BatchRefused);
  await ledger.commit({ runs: [], rejections: [rejection] });
  assert.equal(queue.figures().records, 1);
  const { kept } = database.prepare('SELECT count(*) AS kept FROM rejections').get() ?? {};
  assert.equal(kept, 1n);
});

test('a full disk is a failure of ours that leaves nothing half-written, and passes', async (t) => {
  const { ledger, queue, database, links } = openStores(t);
  const device = new TestDevice('lift-1');
  const run = await runOf([device.next(), device.next(Buffer.alloc(100_000)), device.next()]);
  const { page_count: pages } = database.prepare('PRAGMA page_count').get() ?? {};
  // SQLite fails past this bound as it does on a full disk.
  database.exec(`PRAGMA max_page_count = ${Number(pages) + 5}`);
  await assert.rejects(ledger.commit({ runs: [run], rejections: [rejection] }), { name: 'Unavailable' });
  assert.deepEqual([queue.figures().records, links.head('lift-1')], [0, undefined]);
  database.exec('PRAGMA max_page_count = 1000000');
  assert.equal((await ledger.commit({ runs: [run], rejections: [] })).size, 1);
});

test('a head that the centre has moved on counts only while nothing of the device waits here', async (t) => {
  const { ledger, queue, centre, links } = openStores(t);
  const device = new TestDevice('lift-1');
  await ledger.commit({ runs: [await runOf([device.next()])], rejections: [] });
  const ours = device.head;
  const theirs = { sequence: 7n, recordHash: Buffer.alloc(32, 7) };
  centre.heads = new Map([['lift-1', theirs]]);
  assert.deepEqual(await ledger.readHeads(['lift-1']), [ours]);
  queue.settle({ delivered: queue.take(takeAll), refusals: [], undecided: false, retryAfterMs: undefined });
  assert.deepEqual(await ledger.readHeads(['lift-1']), [theirs]);
  assert.deepEqual(links.head('lift-1'), theirs);
  centre.heads = new Map([['lift-1', ours]]);
  assert.deepEqual(await ledger.readHeads(['lift-1']), [theirs], 'a centre that is behind takes nothing back');
});
