import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestDevice } from '../../test/support/service.ts';
import type { IngestAnswer } from '../device/ingest-answer.ts';
import { forwardOutcome } from './forward-outcome.ts';

const accepted: IngestAnswer = { status: 'accepted', recordHash: '' };
const rejected = (code: string, identical = false): IngestAnswer => {
  return { status: 'rejected', code, error: '', expectedSequence: undefined, identical };
};
const unavailable: IngestAnswer = { status: 'unavailable', code: 'overloaded', error: '', retryAfterMs: 1000 };

/** Records of lift-1 and lift-2 in turn, at the positions 1, 2, 3, ... */
function batchOf(count: number) {
  const devices = [new TestDevice('lift-1'), new TestDevice('lift-2')] as const;
  return Array.from({ length: count }, (_, index) => {
    return { position: BigInt(index + 1), envelope: devices[index % 2 === 0 ? 0 : 1].next() };
  });
}

function outcome(...answers: IngestAnswer[]) {
  const { delivered, refusals, undecided, retryAfterMs } = forwardOutcome(batchOf(answers.length), answers);
  return {
    delivered: delivered.map(({ position }) => Number(position)),
    refusals: refusals.map(({ queued, code }) => [Number(queued.position), code]),
    undecided,
    retryAfterMs,
  };
}

const settled = { refusals: [], undecided: false, retryAfterMs: undefined };

test('a record that the centre has already, as after a lost answer, is delivered', () => {
  const identical = rejected('duplicate_record', true);
  assert.deepEqual(outcome(identical, accepted, accepted), { ...settled, delivered: [1, 2, 3] });
});

test('a final refusal is the first of its device; other devices are not concerned', () => {
  const behind = rejected('predecessor_rejected');
  assert.deepEqual(outcome(rejected('equivocation'), accepted, behind, accepted, behind), {
    ...settled,
    delivered: [2, 4],
    refusals: [[1, 'equivocation']],
  });
});

test('an outage of the centre decides nothing, whatever is said of the records behind', () => {
  assert.deepEqual(outcome(unavailable, accepted, rejected('invalid_sequence'), accepted), {
    delivered: [2, 4],
    refusals: [],
    undecided: true,
    retryAfterMs: 1000,
  });
});

test('a request that broke on its way is no verdict on a record', () => {
  for (const code of ['bad_http', 'request_timeout'])
    assert.deepEqual(outcome(rejected(code)), { ...settled, delivered: [], undecided: true });
});
