import assert from 'node:assert/strict';
import test from 'node:test';
import { silentObserver } from '../../test/support/silent-observer.ts';
import { recordVectors } from '../../test/vectors/records.ts';
import { type ChainHead, genesis } from '../record/record.ts';
import { CommitQueue } from './commit-queue.ts';
import { BatchRefused, type CommitBatch, type Ledger, OutcomeUnknown, Unavailable } from './ports.ts';
import { type Departure, Run } from './run.ts';

const [vector] = recordVectors;
if (vector === undefined) throw new Error('records.json holds no record');
const { record, recordHash, encoded, payload } = vector;

/** What a statement was asked for: the devices of its runs and the decisions of its refusals. */
const contentOf = ({ runs, rejections }: CommitBatch) =>
  [...runs.map(({ deviceId }) => deviceId), ...rejections.map(({ decisionId }) => decisionId)].join(' ');

/** A queue over a ledger whose commit is `commit`, and what it did. */
function queueOver(
  commit: Ledger['commit'],
  readRecordHashes: Ledger['readRecordHashes'] = async () => [],
  waiting: { storing: number; sleep: (ms: number) => Promise<void> } = { storing: 0, sleep: async () => {} },
) {
  const statements: string[] = [];
  const failures: string[] = [];
  const heads: ChainHead[] = [];
  const queue = new CommitQueue({
    ledger: {
      commit: (batch) => {
        statements.push(contentOf(batch));
        return commit(batch);
      },
      readRecordHashes,
      readHeads: async () => [],
    },
    observer: { ...silentObserver, failed: ({ name }) => failures.push(name) },
    clock: { defer: setImmediate, sleep: waiting.sleep },
    storing: () => waiting.storing,
    onCommitted: (_, head) => heads.push(head),
    onDissolved: () => {},
  });
  return { queue, statements, failures, heads };
}

/** A run of one stored record. */
function runOf(deviceId: string) {
  const run = new Run(deviceId, genesis);
  const { promise: departed, resolve: depart } = Promise.withResolvers<Departure>();
  const location = { objectKey: 'an object', offset: undefined, bytes: 1 };
  const admitted = { record: { ...record, deviceId }, recordHash, encoded, payload };
  run.append({ admitted, decisionId: deviceId, revision: 1n, clockSkewMs: undefined, location, departed, depart });
  return { run, departed };
}

const refusal = (decisionId: string) => ({
  decisionId,
  deviceId: 'lift-09',
  sequence: 1n,
  code: 'invalid_signature' as const,
  message: '',
  source: undefined,
  count: 1,
  evidence: undefined,
});

const insertAll = async ({ runs }: CommitBatch) => new Set(runs.map(({ deviceId }) => deviceId));

test('what queues while a statement runs shares the next one', async () => {
  const gate = Promise.withResolvers<void>();
  const { queue, statements } = queueOver(async (batch) => {
    if (batch.runs[0]?.deviceId === 'a') await gate.promise;
    return insertAll(batch);
  });
  const [a, b, c] = ['a', 'b', 'c'].map(runOf);
  if (a !== undefined) queue.stored(a.run);
  await new Promise(setImmediate);
  for (const later of [b, c]) if (later !== undefined) queue.stored(later.run);
  const logged = queue.reject(refusal('r'));
  assert.equal(queue.queued, 3);
  gate.resolve();
  assert.deepEqual(await Promise.all([a?.departed, b?.departed, c?.departed, logged]), Array(4).fill('committed'));
  assert.deepEqual(statements, ['a', 'b c r']);
  assert.equal(queue.queued, 0);
});

test('one record that the ledger cannot hold costs its neighbours nothing: the batch is halved until it stands alone', async () => {
  const { queue, statements, failures } = queueOver(async (batch) => {
    if (batch.runs.some(({ deviceId }) => deviceId === 'poison')) throw new BatchRefused('ledger', 'no');
    return insertAll(batch);
  });
  const runs = ['a', 'b', 'poison', 'c'].map(runOf);
  for (const { run } of runs) queue.stored(run);
  const logged = queue.reject(refusal('r'));
  assert.deepEqual(await Promise.all(runs.map(({ departed }) => departed)), [
    'committed',
    'committed',
    'ledger_unavailable',
    'committed',
  ]);
  assert.equal(await logged, 'committed');
  assert.deepEqual(statements, ['a b poison c r', 'a b poison c', 'a b', 'poison c', 'poison', 'c', 'r']);
  assert.deepEqual(failures, ['BatchRefused']);
});

test('refusals are halved as well', async () => {
  const { queue } = queueOver(async ({ rejections }) => {
    if (rejections.some(({ decisionId }) => decisionId === 'poison')) throw new BatchRefused('ledger', 'no');
    return new Set();
  });
  const logged = ['r', 'poison', 's'].map((id) => queue.reject(refusal(id)));
  assert.deepEqual(await Promise.all(logged), ['committed', 'ledger_unavailable', 'committed']);
});

test('a run whose place was taken is told so, and its neighbour is committed', async () => {
  const { queue, heads } = queueOver(async () => new Set(['winner']));
  const [winner, loser] = [runOf('winner'), runOf('loser')];
  for (const { run } of [winner, loser]) queue.stored(run);
  assert.deepEqual(await Promise.all([winner.departed, loser.departed]), ['committed', 'lost']);
  assert.deepEqual(heads, [{ sequence: 1n, recordHash }]);
});

test('a commit of unknown outcome is looked up: committed where this very record is there, undecided where not', async () => {
  const found = [recordHash, Buffer.alloc(32), undefined];
  const { queue } = queueOver(
    async () => {
      throw new OutcomeUnknown('ledger', 'connection lost');
    },
    async () => found,
  );
  const runs = ['there', 'another', 'nothing'].map(runOf);
  for (const { run } of runs) queue.stored(run);
  const logged = queue.reject(refusal('r'));
  const departures = await Promise.all(runs.map(({ departed }) => departed));
  assert.deepEqual(departures, ['committed', 'ledger_unavailable', 'ledger_unavailable']);
  assert.equal(await logged, 'ledger_unavailable');
});

test('I6 ours-or-theirs: a ledger that is away refuses nobody for good, and the next statement is made all the same', async () => {
  let away = true;
  const { queue } = queueOver(async (batch) => {
    if (away) throw new Unavailable('ledger', 'away');
    return insertAll(batch);
  });
  const [first, second] = [runOf('a'), runOf('b')];
  queue.stored(first.run);
  assert.equal(await first.departed, 'ledger_unavailable');
  away = false;
  queue.stored(second.run);
  assert.equal(await second.departed, 'committed');
});

test('a row waits for the many that are about to be stored, and goes with those that came meanwhile', async () => {
  const waited = Promise.withResolvers<void>();
  const { queue, statements } = queueOver(insertAll, undefined, { storing: 9, sleep: () => waited.promise });
  const [early, late] = [runOf('early'), runOf('late')];
  queue.stored(early.run);
  await new Promise(setImmediate);
  assert.deepEqual(statements, []);
  queue.stored(late.run);
  waited.resolve();
  assert.deepEqual(await Promise.all([early.departed, late.departed]), ['committed', 'committed']);
  assert.deepEqual(statements, ['early late']);
});
