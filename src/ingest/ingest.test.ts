import assert from 'node:assert/strict';
import test from 'node:test';
import { silentObserver } from '../../test/support/silent-observer.ts';
import { recordVectors, vectorKey } from '../../test/vectors/records.ts';
import type { Device } from '../record/device.ts';
import { genesis } from '../record/record.ts';
import { Ingest, type IngestBounds } from './ingest.ts';
import {
  BatchRefused,
  type DeviceDirectory,
  type Ledger,
  type Observer,
  type RejectedDecision,
  Unavailable,
} from './ports.ts';
import { RateLimits, type RateLimitsOptions } from './rate-limits.ts';
import { unavailable } from './verdict.ts';

const [first, second] = recordVectors;
if (first === undefined || second === undefined) throw new Error('records.json holds no chain');
const { deviceId } = first.record;
const sender = { transport: 'http', address: undefined, identities: undefined } as const;
const key = { publicKey: vectorKey.publicKey, scheme: 'payload-v1' } as const;
const device: Device = {
  id: deviceId,
  enabled: true,
  revision: 1n,
  keys: [{ ...key, validFromMs: 0, validUntilMs: undefined, revokedAtMs: undefined }],
  gateways: [],
};

const noLimits = { source: undefined, device: undefined, pod: undefined, refused: undefined, now: () => 1_000 };
const limitsOf = (rates: Partial<RateLimitsOptions>) => new RateLimits({ ...noLimits, ...rates });
const insertAll: Ledger['commit'] = async ({ runs }) => new Set(runs.map((run) => run.deviceId));

type Doubles = IngestBounds &
  Pick<DeviceDirectory, 'find' | 'confirm'> & { limits: RateLimits; observer: Partial<Observer> };

/** Admission that waits for no predecessor of another replica. */
function ingestOver(
  ledger: Partial<Ledger>,
  {
    find = () => device,
    confirm = async (id) => find(id),
    limits = limitsOf({}),
    observer,
    ...bounds
  }: Partial<Doubles> = {},
): Ingest {
  return new Ingest({
    ledger: {
      commit: insertAll,
      readHeads: async (ids) => ids.map(() => genesis),
      readRecordHashes: async (places) => places.map(() => undefined),
      ...ledger,
    },
    payloadStore: {
      put: async ({ payload }) => ({ objectKey: 'an object', offset: undefined, bytes: payload.length }),
    },
    devices: { find, confirm, forget: () => {} },
    observer: { ...silentObserver, ...observer },
    clock: { now: () => 1_000, sleep: async () => {}, defer: setImmediate, uuid: () => 'a decision' },
    objectRefScope: 'any',
    limits,
    bounds: { predecessorWaitMs: 0, ...bounds },
  });
}

test('a record is not refused as out of sequence while its predecessor in the batch, whose place was lost, is judged again', async () => {
  const looks = Array.from({ length: 4 }, () => Promise.withResolvers<Device>());
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
  // The second is looked up before the first has its place, and again once it has.
  const [lookAhead, lookOfFirst, lookOfSecond, secondLookOfFirst] = looks;
  lookAhead?.resolve(device);
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

const stranger = { transport: 'http', address: '192.0.2.7', identities: undefined } as const;

test('a device that was registered a moment ago is not refused for what a pod remembers of it', async () => {
  let confirmed = 0;
  const confirm = async () => {
    confirmed++;
    return device;
  };
  const ingest = ingestOver({}, { find: () => undefined, confirm });
  assert.equal((await ingest.admit(first, sender).verdict).status, 'accepted');
  const suspended = ingestOver({}, { find: () => ({ ...device, revision: 0n, enabled: false }), confirm });
  assert.equal((await suspended.admit(first, sender).verdict).status, 'accepted');
  assert.equal(confirmed, 2);
});

test('what was read for this very record is not read again, and what is no matter of the device is not confirmed', async () => {
  const confirm = async () => assert.fail('confirmed');
  const read = await ingestOver({}, { find: async () => undefined, confirm }).admit(first, sender).verdict;
  assert.equal(read.status === 'rejected' && read.rejection.code, 'unknown_device');
  const tampered = { ...first, payload: Buffer.from('another payload') };
  const verdict = await ingestOver({}, { confirm }).admit(tampered, sender).verdict;
  assert.equal(verdict.status === 'rejected' && verdict.rejection.code, 'payload_hash_mismatch');
});

test('a registry that is away when a refusal is to be confirmed refuses nobody for good', async () => {
  const confirm = async () => {
    throw new Unavailable('ledger', 'away');
  };
  const verdict = await ingestOver({}, { find: () => undefined, confirm }).admit(first, sender).verdict;
  assert.deepEqual(verdict, unavailable('ledger_unavailable'));
});

test('a device over its rate is told when to come again, before anything is looked up for it', async () => {
  const limited: string[] = [];
  let looks = 0;
  const find = () => {
    looks++;
    return device;
  };
  const ingest = ingestOver(
    {},
    {
      find,
      limits: limitsOf({ device: { perSecond: 1, burst: 1 } }),
      observer: { limited: (limit) => limited.push(limit) },
    },
  );
  assert.equal((await ingest.admit(first, sender).verdict).status, 'accepted');
  assert.deepEqual(ingest.admit(second, sender).settled, { ...unavailable('rate_limited'), retryAfterMs: 1000 });
  assert.equal(looks, 1);
  assert.deepEqual(limited, ['device']);
});

test('bad signatures do not use up the rate of the device that they name, but that of their source; retries use up neither', async () => {
  const limits = limitsOf({ device: { perSecond: 1, burst: 3 }, refused: { perSecond: 1, burst: 1 } });
  const forged = { ...first, record: { ...first.record, signature: Buffer.alloc(64, 1) } };
  const there: Partial<Ledger> = {
    readHeads: async (ids) => ids.map(() => ({ sequence: 1n, recordHash: first.recordHash })),
    readRecordHashes: async (places) => places.map(() => first.recordHash),
  };
  const ingest = ingestOver(there, { limits });
  const retry = await ingest.admit(first, stranger).verdict;
  assert.equal(retry.status === 'rejected' && retry.rejection.identical, true);
  assert.equal(limits.take(stranger.address), undefined);
  assert.equal((await ingest.admit(forged, stranger).verdict).status, 'rejected');
  assert.equal(limits.take(stranger.address)?.limit, 'refused');
  for (let sent = 0; sent < 5; sent++) {
    assert.equal(limits.device(deviceId), undefined);
    await ingest.admit(first, sender).verdict;
  }
  assert.equal(limits.device(deviceId), undefined);
});

test('the records behind a refused one share its commit, however many they are', async () => {
  const commits: RejectedDecision[][] = [];
  const commit: Ledger['commit'] = async ({ rejections }) => {
    commits.push([...rejections]);
    return new Set();
  };
  const ingest = ingestOver({ commit });
  let last = ingest.admit({ ...first, payload: Buffer.from('another payload') }, sender);
  const verdicts = [last.verdict];
  for (let line = 0; line < 50; line++) {
    last = ingest.admit(second, sender, last);
    verdicts.push(last.verdict);
  }
  for (const verdict of await Promise.all(verdicts)) assert.equal(verdict.status, 'rejected');
  assert.deepEqual(
    commits.map((rows) => rows.length),
    [51],
  );
});

test('the records behind one whose refusal could not be logged are undecided, as it is', async () => {
  const commit: Ledger['commit'] = async ({ rejections }) => {
    if (rejections.some(({ code }) => code === 'payload_hash_mismatch')) throw new BatchRefused('ledger', 'no');
    return new Set();
  };
  const ingest = ingestOver({ commit });
  const before = ingest.admit({ ...first, payload: Buffer.from('another payload') }, sender);
  const after = ingest.admit(second, sender, before);
  assert.deepEqual(await before.verdict, unavailable('ledger_unavailable'));
  assert.deepEqual(await after.verdict, unavailable('ledger_unavailable'));
});
