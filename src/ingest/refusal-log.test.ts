import assert from 'node:assert/strict';
import test from 'node:test';
import type { RejectionCode } from '../record/rejection.ts';
import type { RejectedDecision } from './ports.ts';
import { type LoggedRefusal, type Refusal, RefusalLog } from './refusal-log.ts';

/** A log of which one row a source is free, the rows that it committed, and a way to let the gathering end. */
function logOver(outcome: LoggedRefusal['outcome'] = 'committed', burst = 1) {
  const rows: RejectedDecision[] = [];
  const sleepers: (() => void)[] = [];
  let made = 0;
  const log = new RefusalLog({
    commit: async (row) => {
      rows.push(row);
      return outcome;
    },
    clock: { now: () => 1_000, sleep: () => new Promise((resolve) => sleepers.push(resolve)) },
    rowsOfSource: { perSecond: 1, burst },
  });
  return {
    rows,
    refuse: (more: Partial<Refusal> = {}) => log.log({ ...refusal, decisionId: `decision ${++made}`, ...more }),
    async gathered(): Promise<void> {
      for (const wake of sleepers.splice(0)) wake();
      await new Promise(setImmediate);
    },
  };
}

const refusal = {
  deviceId: 'lift-01',
  sequence: 7n,
  code: 'invalid_signature',
  message: 'no',
  source: '192.0.2.7',
  evidence: undefined,
} as const;

const total = (rows: readonly RejectedDecision[]) => rows.reduce((sum, { count }) => sum + count, 0);

test('a flood from one source is one row a code and quarter of a second, whose counts are exact', async () => {
  const { rows, refuse, gathered } = logOver();
  const codes: RejectionCode[] = ['unknown_device', 'invalid_signature'];
  const answers = Array.from({ length: 1000 }, (_, index) =>
    refuse({ deviceId: `lift-${index}`, code: codes[index % 2] ?? 'unknown_device' }),
  );
  await gathered();
  const logged = await Promise.all(answers);
  assert.equal(rows.length, 3);
  assert.equal(total(rows), 1000);
  const [, shared] = rows;
  assert.deepEqual(
    { ...shared, message: undefined },
    { ...refusal, decisionId: 'decision 2', deviceId: '', sequence: 0n, message: undefined, count: 500 },
  );
  assert.equal(shared?.message, '500 refusals of several devices from 192.0.2.7, which came too fast for a row each');
  for (const row of rows) {
    const told = logged.filter(({ decisionId }) => decisionId === row.decisionId);
    assert.equal(told.length, row.count, 'whoever is told of a row is counted in it');
  }
});

test('refusals of one device keep its name, and one that gathered alone keeps all that is known of it', async () => {
  const { rows, refuse, gathered } = logOver();
  const answers = [refuse(), refuse(), refuse(), refuse({ code: 'invalid_sequence' })];
  await gathered();
  await Promise.all(answers);
  assert.deepEqual(
    rows.map(({ deviceId, sequence, code, count }) => ({ deviceId, sequence, code, count })),
    [
      { deviceId: 'lift-01', sequence: 7n, code: 'invalid_signature', count: 1 },
      { deviceId: 'lift-01', sequence: 0n, code: 'invalid_signature', count: 2 },
      { deviceId: 'lift-01', sequence: 7n, code: 'invalid_sequence', count: 1 },
    ],
  );
  assert.equal(rows[2]?.message, 'no');
});

test('nobody is told before the row is durable, and nobody is refused for good when it could not be logged', async () => {
  const { rows, refuse, gathered } = logOver('ledger_unavailable');
  await refuse();
  let told = 0;
  const answers = [refuse(), refuse()].map((answer) => answer.finally(() => told++));
  await new Promise(setImmediate);
  assert.equal(told, 0);
  await gathered();
  assert.deepEqual(
    (await Promise.all(answers)).map(({ outcome }) => outcome),
    ['ledger_unavailable', 'ledger_unavailable'],
  );
  assert.equal(total(rows), 3);
});

test('what comes after a row was taken for commit is counted in the next one', async () => {
  const { rows, refuse, gathered } = logOver();
  const before = [refuse(), refuse(), refuse()];
  await gathered();
  const after = [refuse(), refuse()];
  await gathered();
  await Promise.all([...before, ...after]);
  assert.deepEqual(
    rows.map(({ count }) => count),
    [1, 2, 2],
  );
});

const evidence = { encoded: Buffer.from('a record'), recordHash: Buffer.alloc(32) };

test('a flood of equivocations leaves the evidence of the first ones, and the count of all', async () => {
  const { rows, refuse, gathered } = logOver();
  const answers = Array.from({ length: 1000 }, () => refuse({ code: 'equivocation', evidence }));
  await gathered();
  await Promise.all(answers);
  const own = rows.filter(({ count }) => count === 1);
  assert.equal(own.length, 1 + 16, 'the row of the source, and those of the device');
  for (const row of own) assert.equal(row.evidence, evidence);
  const [shared, ...others] = rows.filter(({ count }) => count > 1);
  assert.deepEqual(others, []);
  assert.deepEqual([shared?.count, shared?.evidence, shared?.sequence], [983, undefined, 0n]);
});

test('a flood of other refusals, or of equivocations of another device, hides no equivocation', async () => {
  const { rows, refuse, gathered } = logOver();
  const flood = Array.from({ length: 1000 }, (_, index) =>
    refuse(index % 2 === 0 ? {} : { code: 'equivocation', evidence, deviceId: 'lift-02' }),
  );
  await refuse({ code: 'equivocation', evidence });
  assert.deepEqual(
    rows.filter(({ deviceId, code }) => deviceId === 'lift-01' && code === 'equivocation').map((row) => row.evidence),
    [evidence],
  );
  await gathered();
  await Promise.all(flood);
});

test('a flood from thousands of sources is bounded as well: what is too many to tell apart shares a row without a source', async () => {
  const { rows, refuse, gathered } = logOver('committed', 10);
  const answers = Array.from({ length: 5000 }, (_, index) => refuse({ source: `10.0.${index >> 8}.${index & 255}` }));
  await gathered();
  await Promise.all(answers);
  assert.equal(total(rows), 5000);
  const shared = rows.filter(({ sequence }) => sequence === 0n);
  assert.equal(rows.length - shared.length, 1000 + 64, 'the burst of the pod, and one gathered alone for each tally');
  assert.deepEqual(
    shared.map(({ source, count }) => ({ source, count })),
    [{ source: undefined, count: 4000 - 64 }],
  );
});

test('a host that changes its IPv6 address for each record is one source', async () => {
  const { rows, refuse, gathered } = logOver();
  const answers = Array.from({ length: 100 }, (_, index) => refuse({ source: `2001:db8::${index + 1}` }));
  await gathered();
  await Promise.all(answers);
  assert.deepEqual(
    rows.map(({ source, count }) => ({ source, count })),
    [
      { source: '2001:db8::1', count: 1 },
      { source: '2001:db8:0:0::/64', count: 99 },
    ],
  );
});
