import type { Backoff } from './backoff.ts';
import type { IngestAnswer } from './ingest-answer.ts';
import { type IngestClient, ServiceUnavailable } from './ingest-client.ts';

export type Rejected = Extract<IngestAnswer, { status: 'rejected' }>;

/** What became of each line: how many the service has now, and those that it refused for good, by their place in the lines. */
export type DeliveryOutcome = {
  readonly delivered: number;
  readonly refusals: readonly { readonly index: number; readonly answer: Rejected }[];
};

/** The attempts are used up. What was undecided may or may not be in the ledger; the same lines again are safe. */
export class DeliveryFailed extends Error {
  override readonly name = 'DeliveryFailed';
  readonly outcome: DeliveryOutcome;
  constructor(message: string, outcome: DeliveryOutcome) {
    super(message);
    this.outcome = outcome;
  }
}

export type DeliveryOptions = {
  readonly client: Pick<IngestClient, 'send' | 'sendBatch'>;
  readonly backoff: Backoff;
  /** One request for each record instead of one for all. */
  readonly single: boolean;
};

/**
 * Sends envelopes until each has a verdict: undecided ones go again, in order. A record that turns out to be there
 * already, as after a lost answer, is delivered.
 * @param lines envelopes as JSON, those of a device in the order of its chain
 * @throws DeliveryFailed RequestRefused
 */
export async function deliver(lines: readonly string[], options: DeliveryOptions): Promise<DeliveryOutcome> {
  const { backoff } = options;
  const refusals: { index: number; answer: Rejected }[] = [];
  let delivered = 0;
  let pending = lines.map((line, index) => ({ line, index }));
  while (pending.length > 0) {
    const { answers, trouble } = await attempt(
      pending.map(({ line }) => line),
      options,
    );
    const undecided: typeof pending = [];
    const deliveredBefore = delivered;
    for (const [at, sent] of pending.entries()) {
      const answer = answers[at];
      if (answer === undefined || answer.status === 'unavailable') undecided.push(sent);
      else if (answer.status === 'accepted' || answer.identical) delivered++;
      else refusals.push({ index: sent.index, answer });
    }
    if (delivered > deliveredBefore) backoff.reset();
    pending = undecided;
    if (pending.length > 0 && !(await backoff.wait(trouble?.retryAfterMs)))
      throw new DeliveryFailed(trouble?.message ?? 'the service stays unavailable', { delivered, refusals });
  }
  return { delivered, refusals };
}

type Trouble = { readonly message: string; readonly retryAfterMs: number | undefined };

/** One try of every line: the answers as far as they came, and why they came no further. */
async function attempt(
  lines: readonly string[],
  { client, single }: DeliveryOptions,
): Promise<{ answers: readonly IngestAnswer[]; trouble: Trouble | undefined }> {
  const answers: IngestAnswer[] = [];
  try {
    if (!single) answers.push(...(await client.sendBatch(lines)));
    else for (const line of lines) answers.push(await client.send(line));
  } catch (error) {
    if (!(error instanceof ServiceUnavailable)) throw error;
    return { answers, trouble: error };
  }
  const busy = answers.find((answer) => answer.status === 'unavailable');
  return { answers, trouble: busy && { message: `${busy.code}: ${busy.error}`, retryAfterMs: busy.retryAfterMs } };
}
