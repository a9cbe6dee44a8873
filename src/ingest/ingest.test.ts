import assert from 'node:assert/strict';
import test from 'node:test';
import { recordVectors, vectorKey } from '../../test/vectors/records.ts';
import type { Device } from '../record/device.ts';
import { genesis } from '../record/record.ts';
import { Ingest, type IngestBounds } from './ingest.ts';
import { type DeviceDirectory, type Ledger, Unavailable } from './ports.ts';
import { unavailable } from './verdict.ts';

const [first, second] = recordVectors;
if (first === undefined || second === undefined) throw new Error('records.json holds no chain');
const { deviceId } = first.record;
const sender = { transport: 'http', address: undefined, identity: undefined } as const;
const key = { publicKey: vectorKey.publicKey, scheme: 'payload-v1' } as const;
const device: Device = {
  id: deviceId,
  enabled: true,
  revision: 1n,
  keys: [{ ...key, validFromMs: 0, validUntilMs: undefined, revokedAtMs: undefined }],
};

const insertAll: Ledger['commit'] = async ({ runs }) => new Set(runs.map((run) => run.deviceId));

/** Admission that waits for no predecessor of another replica. */
function ingestOver(
  ledger: Partial<Ledger>,
  { find = () => device, ...bounds }: Partial<IngestBounds & Pick<DeviceDirectory, 'find'>> = {},
): Ingest {
  return new Ingest({
    ledger: {
      commit: insertAll,
      readHeads: async (ids) => ids.map(() => genesis),
      readRecordHashes: async () => [],
      ...ledger,
    },
    payloadStore: {
      put: async ({ payload }) => ({ objectKey: 'an object', offset: undefined, bytes: payload.length }),
    },
    devices: { find, forget: () => {} },
    observer: { decided: () => {}, failed: () => {}, stage: () => {}, committed: () => {}, headLookup: () => {} },
    clock: { now: () => 1_000, sleep: async () => {}, defer: setImmediate, uuid: () => 'a decision' },
    objectRefScope: 'any',
    bounds: { predecessorWaitMs: 0, ...bounds },
  });
}

test('a record is not refused as out of sequence while its predecessor in the batch, whose place was lost, is judged again', async () => {
  const looks = Array.from({ length: 3 }, () => Promise.withResolvers<Device>());
  let found = 0;
  let committed = 0;
  const lost = Promise.withResolvers<void>();
  const commit: Ledger['commit'] = async (batch) => {
    if (committed++ > 0) return insertAll(batch);
    lost.resolve();
    return new Set();
  };
  const ingest = ingestOver({ commit }, { find: () => looks[found++]?.promise ?? device });
  const before = ingest.admit(first, sender);
  const after = ingest.admit(second, sender, before);
  const [lookOfFirst, lookOfSecond, secondLookOfFirst] = looks;
  lookOfFirst?.resolve(device);
  await lost.promise;
  await new Promise(setImmediate);
  lookOfSecond?.resolve(device);
  await new Promise(setImmediate);
  assert.equal(after.settled, undefined);
  secondLookOfFirst?.resolve(device);
  assert.equal((await before.verdict).status, 'accepted');
  assert.equal((await after.verdict).status, 'accepted');
  assert.equal(ingest.recordsInFlight, 0);
});

test('after a refusal the rest of the batch is told of it, and after a failure of ours the rest is undecided', async () => {
  const ingest = ingestOver({
    commit: async ({ runs }) => {
      if (runs.length > 0) throw new Unavailable('ledger', 'away');
      return new Set();
    },
  });
  const tampered = ingest.admit({ ...first, payload: Buffer.from('another payload') }, sender);
  const behindTampered = await ingest.admit(second, sender, tampered).verdict;
  assert.equal(behindTampered.status === 'rejected' && behindTampered.rejection.code, 'predecessor_rejected');
  const undecided = ingest.admit(first, sender);
  assert.deepEqual(await ingest.admit(second, sender, undecided).verdict, unavailable('ledger_unavailable'));
});

test('past its bounds a record is told so at once, but a payload larger than the bound still goes alone', async () => {
  const ingest = ingestOver({}, { payloadBytesInFlightMax: first.payload.length - 1 });
  const alone = ingest.admit(first, sender);
  const refused = ingest.admit(second, sender);
  assert.deepEqual(refused.settled, unavailable('overloaded'));
  assert.equal((await alone.verdict).status, 'accepted');
  assert.equal(ingest.hasRoom(second.payload.length), true);
});

test('a hole in the ledger is a failure of ours, answered at once', async () => {
  const head = { sequence: 5n, recordHash: Buffer.alloc(32) };
  const ingest = ingestOver({ readHeads: async () => [head], readRecordHashes: async () => [undefined] });
  assert.deepEqual(await ingest.admit(first, sender).verdict, unavailable('ledger_unavailable'));
});

test('the expected sequence of a refusal is that of the ledger, not of a head that this pod remembers', async () => {
  const heads = [genesis, { sequence: 4n, recordHash: Buffer.alloc(32, 4) }];
  const ingest = ingestOver({
    readHeads: async () => [heads.length > 1 ? (heads.shift() ?? genesis) : (heads[0] ?? genesis)],
    readRecordHashes: async () => [Buffer.alloc(32, 1)],
  });
  await ingest.admit(first, sender).verdict;
  const verdict = await ingest.admit(first, sender).verdict;
  assert.equal(verdict.status === 'rejected' && verdict.rejection.expectedSequence, 5n);
});
