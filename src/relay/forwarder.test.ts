import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { TestDevice } from '../../test/support/service.ts';
import { Backoff } from '../device/backoff.ts';
import type { IngestAnswer } from '../device/ingest-answer.ts';
import { RequestRefused, ServiceUnavailable } from '../device/ingest-client.ts';
import { parseEnvelope } from '../record/parse.ts';
import { openStores, runOf } from './fixtures.ts';
import { Forwarder } from './forwarder.ts';

const accepted: IngestAnswer = { status: 'accepted', recordHash: '' };
const unavailable: IngestAnswer = { status: 'unavailable', code: 'overloaded', error: '', retryAfterMs: 1000 };

type Batch = readonly { readonly deviceId: string; readonly sequence: bigint }[];
/** The centre's answers to a batch; throws what the client would. */
type Answering = (batch: Batch) => IngestAnswer[];

/** Forwards the records of `devices`, five of each in turn, until `batches` of them have been answered. */
async function forward(t: TestContext, devices: readonly string[], batches: number, answering: Answering) {
  const { ledger, queue } = openStores(t);
  const made = devices.map((id) => new TestDevice(id));
  for (let round = 0; round < 5; round++) {
    const runs = await Promise.all(made.map((device) => runOf([device.next()])));
    await ledger.commit({ runs, rejections: [] });
  }
  const stop = new AbortController();
  const sent: Batch[] = [];
  const events: string[] = [];
  const waits: number[] = [];
  const forwarder = new Forwarder({
    queue,
    client: {
      async sendBatch(lines) {
        const batch = lines.map((line) => parseEnvelope(Buffer.from(line)).record);
        sent.push(batch);
        if (sent.length >= batches) setImmediate(() => stop.abort());
        return answering(batch);
      },
    },
    backoff: new Backoff({
      attempts: Infinity,
      signal: stop.signal,
      random: () => 0,
      sleep: async (ms) => void waits.push(ms),
    }),
    observer: {
      interrupted: () => events.push('interrupted'),
      resumed: () => events.push('resumed'),
      refused: ({ queued, code }) => events.push(`${code} ${queued.envelope.record.deviceId}`),
    },
    now: () => 1_700_000_000_000,
    signal: stop.signal,
  });
  await forwarder.run();
  return { sent, events, waits, queue, forwarder };
}

const all = (batch: Batch) => batch.map(() => accepted);

test('records go in the order of their arrival and leave the queue with the answer', async (t) => {
  const { sent, queue, forwarder } = await forward(t, ['a', 'b'], 1, all);
  const order = sent[0]?.map(({ deviceId, sequence }) => `${deviceId}${sequence}`);
  assert.deepEqual(order, ['a1', 'b1', 'a2', 'b2', 'a3', 'b3', 'a4', 'b4', 'a5', 'b5']);
  assert.equal(queue.figures().records, 0);
  assert.equal(forwarder.lastSuccessMs, 1_700_000_000_000);
});

const troubles: Record<string, () => never> = {
  'a lost answer': () => {
    throw new ServiceUnavailable('connection reset');
  },
  'a refusal of the request as a whole': () => {
    throw new RequestRefused(403, 'source_not_allowed', 'not from here');
  },
  'a fault of our own': () => {
    throw new TypeError('a defect');
  },
};

for (const [what, fail] of Object.entries(troubles)) {
  test(`${what} costs a wait and no record`, async (t) => {
    let calls = 0;
    const { sent, events, waits, queue, forwarder } = await forward(t, ['a', 'b'], 2, (batch) =>
      ++calls === 1 ? fail() : all(batch),
    );
    assert.deepEqual(sent[1], sent[0]);
    assert.deepEqual(events, ['interrupted', 'resumed']);
    assert.equal(waits.length, 1);
    assert.deepEqual([queue.figures().records, forwarder.trouble], [0, undefined]);
  });
}

test('what the centre could not decide goes again, after the wait that it asked for', async (t) => {
  let calls = 0;
  const { sent, waits, queue } = await forward(t, ['a'], 2, (batch) =>
    ++calls === 1 ? batch.map((_, index) => (index < 2 ? accepted : unavailable)) : all(batch),
  );
  assert.deepEqual(
    sent.map((batch) => batch.map(({ sequence }) => Number(sequence))),
    [
      [1, 2, 3, 4, 5],
      [3, 4, 5],
    ],
  );
  assert.deepEqual(waits, [1000]);
  assert.equal(queue.figures().records, 0);
});

test('a refused record stays with all that is behind it, and the verdict is kept', async (t) => {
  const { events, queue } = await forward(t, ['a', 'b'], 1, (batch) =>
    batch.map(({ deviceId, sequence }): IngestAnswer => {
      if (deviceId === 'b' || sequence < 3n) return accepted;
      const code = sequence === 3n ? 'equivocation' : 'predecessor_rejected';
      return { status: 'rejected', code, error: 'used', expectedSequence: undefined, identical: false };
    }),
  );
  assert.deepEqual(events, ['equivocation a']);
  const held = { deviceId: 'a', sequence: 3n, code: 'equivocation', error: 'used', refusedMs: 1_700_000_000_000 };
  assert.deepEqual(queue.heldDevices(), [{ ...held, recordsHeld: 3 }]);
  assert.equal(queue.figures().records, 3);
});
