import type { UnavailableCode } from '../record/rejection.ts';
import type { Clock, RejectedDecision } from './ports.ts';
import { sourceOf } from './rate-limits.ts';
import { type Rate, TokenBucket, TokenBuckets } from './token-bucket.ts';

/** Of one source: a device that is wrongly set up is read refusal by refusal, a flood is not. */
export const refusalRowsOfSource: Rate = { perSecond: 10, burst: 100 };
/** Of all sources together, so that a flood from many addresses is bounded as well. */
const refusalRowsOfPod: Rate = { perSecond: 100, burst: 1000 };
/**
 * Rows with evidence that a device has even where its refusals are past the rates above, so that a flood on others does not
 * hide that somebody signs for it. A flood on itself leaves sixteen, which say so as well as a million, and one a minute.
 */
const evidenceRowsOfDevice: Rate = { perSecond: 1 / 60, burst: 16 };
/** How long a shared row gathers. A sender of many refusals waits this long for its answers, and thousands fit in it. */
const gatherMs = 250;
/** With the ten codes that can share a row, at most 300 shared rows a second, however large the flood. */
const tallyMax = 64;
/** About 150 bytes each. One that is forgotten begins with a burst again; the pod's rate holds all the same. */
const sourcesMax = 10_000;
/** Of the same size. Only registered devices have evidence against them. */
const evidenceDevicesMax = 10_000;

/** A refusal on its own. */
export type Refusal = Omit<RejectedDecision, 'count'>;
/** Whether the refusal is durable, and the id of its row. */
export type LoggedRefusal = { readonly outcome: 'committed' | UnavailableCode; readonly decisionId: string };

/** A row that gathers refusals of one code and source. */
type Tally = {
  readonly first: Refusal;
  /** Undefined where it is not known, or there are too many to gather for each. */
  readonly source: string | undefined;
  readonly logged: Promise<LoggedRefusal>;
  oneDevice: boolean;
  count: number;
};

export type RefusalLogOptions = {
  /** Makes a row durable; never rejects. */
  readonly commit: (row: RejectedDecision) => Promise<LoggedRefusal['outcome']>;
  readonly clock: Pick<Clock, 'now' | 'sleep'>;
  /** Rows of their own that the refusals of one source may have. */
  readonly rowsOfSource: Rate;
};

/**
 * The refusals' way into the operation log. Each is counted there before it is answered, so that the counts of all rows
 * add up to the refusals exactly; but past a rate they share rows, so that a flood of bad records cannot fill the
 * database. Evidence of equivocation goes with a row of its own, and is not kept of refusals that share one: who has seen a
 * payload-v1 record can make another claim of it with every message, without the key.
 */
export class RefusalLog {
  readonly #options: RefusalLogOptions;
  readonly #sources: TokenBuckets;
  readonly #evidence = new TokenBuckets(evidenceRowsOfDevice, evidenceDevicesMax);
  readonly #pod = new TokenBucket(refusalRowsOfPod);
  readonly #tallies = new Map<string, Tally>();

  constructor(options: RefusalLogOptions) {
    this.#options = options;
    this.#sources = new TokenBuckets(options.rowsOfSource, sourcesMax);
  }

  /** Resolves once the refusal is durable, alone or in a count, or once that failed. */
  async log(refusal: Refusal): Promise<LoggedRefusal> {
    const { decisionId } = refusal;
    const source = refusal.source === undefined ? undefined : sourceOf(refusal.source);
    if (this.#takesRow(source) || this.#takesEvidenceRow(refusal))
      return { decisionId, outcome: await this.#options.commit({ ...refusal, count: 1 }) };
    const tally = this.#tallyFor(refusal, source);
    tally.count++;
    tally.oneDevice &&= refusal.deviceId === tally.first.deviceId;
    return tally.logged;
  }

  #takesRow(source = ''): boolean {
    const nowMs = this.#options.clock.now();
    if (this.#sources.waitMs(source, nowMs) > 0 || this.#pod.waitMs(nowMs) > 0) return false;
    this.#sources.charge(source, nowMs);
    this.#pod.charge(nowMs);
    return true;
  }

  #takesEvidenceRow({ deviceId, evidence }: Refusal): boolean {
    const nowMs = this.#options.clock.now();
    if (evidence === undefined || this.#evidence.waitMs(deviceId, nowMs) > 0) return false;
    this.#evidence.charge(deviceId, nowMs);
    return true;
  }

  #tallyFor(refusal: Refusal, source: string | undefined): Tally {
    const own = this.#tallies.get(keyOf(refusal, source));
    if (own !== undefined) return own;
    if (this.#tallies.size < tallyMax) return this.#open(refusal, source);
    return this.#tallies.get(keyOf(refusal, undefined)) ?? this.#open(refusal, undefined);
  }

  #open(first: Refusal, source: string | undefined): Tally {
    const key = keyOf(first, source);
    const gathered = this.#options.clock.sleep(gatherMs).then(async (): Promise<LoggedRefusal> => {
      // From here on its count is what is committed, and who comes later is counted in another row.
      this.#tallies.delete(key);
      return { decisionId: first.decisionId, outcome: await this.#options.commit(rowOf(tally)) };
    });
    const tally: Tally = { first, source, logged: gathered, oneDevice: true, count: 0 };
    this.#tallies.set(key, tally);
    return tally;
  }
}

const keyOf = ({ code }: Refusal, source: string | undefined) => `${code} ${source}`;

function rowOf({ first, source, oneDevice, count }: Tally): RejectedDecision {
  if (count === 1) return { ...first, count };
  const devices = oneDevice ? `of device=${first.deviceId}` : 'of several devices';
  const from = source === undefined ? '' : ` from ${source}`;
  const message = `${count} refusals ${devices}${from}, which came too fast for a row each`;
  const deviceId = oneDevice ? first.deviceId : '';
  return { ...first, deviceId, sequence: 0n, source, message, count, evidence: undefined };
}
