import type { IngestAnswer } from '../device/ingest-answer.ts';
import type { Envelope } from '../record/record.ts';

/** A record that waits for the centre. Positions rise in the order of arrival. */
export type QueuedEnvelope = { readonly position: bigint; readonly envelope: Envelope };

export type ForwardRefusal = { readonly queued: QueuedEnvelope; readonly code: string; readonly error: string };

/** What the centre's answers to a batch mean for the queue. */
export type ForwardOutcome = {
  /** In the centre's ledger, from now or from before. */
  readonly delivered: readonly QueuedEnvelope[];
  /** The first final refusal of each device. */
  readonly refusals: readonly ForwardRefusal[];
  /** Whether some were not decided and have to go again. */
  readonly undecided: boolean;
  /** How long the centre asked to wait. */
  readonly retryAfterMs: number | undefined;
};

/** Refusals of a request that broke on its way: they say nothing of the record. */
const brokenRequestCodes = new Set(['bad_http', 'request_timeout']);

/** @param answers one for each of `batch`, in its order */
export function forwardOutcome(batch: readonly QueuedEnvelope[], answers: readonly IngestAnswer[]): ForwardOutcome {
  const delivered: QueuedEnvelope[] = [];
  const refusals = new Map<string, ForwardRefusal>();
  const undecided = new Set<string>();
  let retryAfterMs: number | undefined;
  for (const [index, queued] of batch.entries()) {
    const answer = answers[index];
    const { deviceId } = queued.envelope.record;
    if (answer?.status === 'accepted' || (answer?.status === 'rejected' && answer.identical)) delivered.push(queued);
    else if (answer?.status === 'rejected' && !brokenRequestCodes.has(answer.code)) {
      // Behind a refusal or an open decision of its device, a record hears of that, not of itself.
      if (undecided.has(deviceId) || refusals.has(deviceId)) continue;
      refusals.set(deviceId, { queued, code: answer.code, error: answer.error });
    } else {
      undecided.add(deviceId);
      retryAfterMs ??= answer?.status === 'unavailable' ? answer.retryAfterMs : undefined;
    }
  }
  return { delivered, refusals: [...refusals.values()], undecided: undecided.size > 0, retryAfterMs };
}
