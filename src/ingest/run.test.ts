import assert from 'node:assert/strict';
import test from 'node:test';
import { recordVectors } from '../../test/vectors/records.ts';
import { genesis } from '../record/record.ts';
import { type Departure, Run, type RunEntry } from './run.ts';

const location = { objectKey: 'an object', offset: undefined, bytes: 1 };

/** A run of the vectors' chain and how each record departed; those at `stored` have their payloads, `revisions` default to 1. */
function runOf(stored: readonly boolean[], revisions: readonly bigint[] = []) {
  const run = new Run('lift-01', genesis);
  const departures: (Departure | undefined)[] = stored.map(() => undefined);
  const entries = stored.map((isStored, index): RunEntry => {
    const vector = recordVectors[index];
    if (vector === undefined) throw new RangeError(`there are ${recordVectors.length} vectors`);
    const depart = (departure: Departure) => {
      departures[index] = departure;
    };
    return {
      admitted: vector,
      decisionId: `decision ${index}`,
      revision: revisions[index] ?? 1n,
      clockSkewMs: undefined,
      location: isStored ? location : undefined,
      departed: Promise.race([]),
      depart,
    };
  });
  for (const entry of entries) run.append(entry);
  return { run, entries, departures };
}

test('a record is judged against the last one in flight, or against the committed head when none is', () => {
  const { run, entries } = runOf([true, true]);
  assert.deepEqual(run.tail, { sequence: 2n, recordHash: recordVectors[1]?.recordHash });
  assert.equal(run.entryAt(1n), entries[0]);
  assert.equal(run.entryAt(2n), entries[1]);
  assert.equal(run.entryAt(3n), undefined);
  assert.equal(run.entryAt(0n), undefined);
  assert.deepEqual(new Run('lift-01', genesis).tail, genesis);
});

test('no record is taken for commit before its payload is stored, nor one behind it', () => {
  const { run, entries } = runOf([true, false, true]);
  assert.equal(run.ready, true);
  assert.deepEqual(run.take(10), entries.slice(0, 1));
  assert.equal(runOf([false, true]).run.ready, false);
});

test('records that were judged under different revisions of the device are not committed together', () => {
  const { run, entries } = runOf([true, true, true], [1n, 1n, 2n]);
  assert.deepEqual(run.take(10), entries.slice(0, 2));
});

test('a run that is being committed is not taken again, and no more than asked for is taken', () => {
  const { run, entries, departures } = runOf([true, true, true]);
  assert.deepEqual(run.take(2), entries.slice(0, 2));
  assert.equal(run.ready, false);
  assert.deepEqual(run.commit(), { sequence: 2n, recordHash: recordVectors[1]?.recordHash });
  assert.deepEqual(departures, ['committed', 'committed', undefined]);
  assert.equal(run.ready, true);
  assert.deepEqual(run.take(2), entries.slice(2));
});

test('a failed put takes along what is behind it, and what is before it can still be committed', () => {
  const { run, entries, departures } = runOf([true, false, true]);
  run.take(10);
  const [, failed] = entries;
  if (failed !== undefined) run.cut(failed, 'payload_store_unavailable');
  assert.deepEqual(departures, [undefined, 'payload_store_unavailable', 'payload_store_unavailable']);
  assert.equal(run.commit().sequence, 1n);
  assert.equal(run.empty, true);
});

test('a lost run gives up every record, and a put that fails later finds nothing to give up', () => {
  const { run, entries, departures } = runOf([true, false]);
  run.take(10);
  run.dissolve('lost');
  const [, failed] = entries;
  if (failed !== undefined) run.cut(failed, 'payload_store_unavailable');
  assert.deepEqual(departures, ['lost', 'lost']);
  assert.deepEqual(run.tail, genesis);
  assert.equal(run.ready, false);
});
