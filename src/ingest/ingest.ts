import type { ObjectRefScope } from '../record/judge.ts';
import type { ChainHead, DeviceRecord, Envelope } from '../record/record.ts';
import { type Rejection, reject, type UnavailableCode } from '../record/rejection.ts';
import { Admission } from './admission.ts';
import type { Candidate } from './candidate.ts';
import { ChainPlacement } from './chain-placement.ts';
import { clockSkewOf } from './clock-skew.ts';
import {
  type Clock,
  type DeviceDirectory,
  type Ledger,
  type Observer,
  type PayloadStore,
  type Sender,
  Unavailable,
} from './ports.ts';
import type { RateLimits } from './rate-limits.ts';
import { refusalRowsOfSource } from './refusal-log.ts';
import { Signals } from './signals.ts';
import type { Rate } from './token-bucket.ts';
import { unavailable, type Verdict } from './verdict.ts';
import { Verification } from './verification.ts';

export type IngestOptions = {
  readonly ledger: Ledger;
  readonly payloadStore: PayloadStore;
  readonly devices: DeviceDirectory;
  readonly observer: Observer;
  readonly clock: Clock;
  readonly objectRefScope: ObjectRefScope;
  readonly limits: RateLimits;
  readonly bounds?: Partial<IngestBounds>;
};

export type IngestBounds = {
  /** Records admitted and not yet answered; past it the answer is `overloaded`. */
  readonly recordsInFlightMax: number;
  /** Payload bytes of the same. With 1 KiB payloads the first bound counts, with 64 KiB ones this one. */
  readonly payloadBytesInFlightMax: number;
  /** Remembered heads, about 200 bytes each. */
  readonly headsMax: number;
  /** How long a record waits for a predecessor that another replica may be committing: many times a commit. */
  readonly predecessorWaitMs: number;
  /** Past it, either way, the skew between a record's time and its arrival is kept in its row. */
  readonly clockSkewMaxMs: number;
  /** Rows that the operation log has for the refusals of one source; past it they share rows. */
  readonly refusalRows: Rate;
};

const defaultBounds: IngestBounds = {
  recordsInFlightMax: 4096,
  payloadBytesInFlightMax: 48 * 1024 * 1024,
  headsMax: 100_000,
  predecessorWaitMs: 1000,
  // Certificates and tokens commonly allow for as much; a clock that nobody sets is past it within weeks.
  clockSkewMaxMs: 5 * 60 * 1000,
  refusalRows: refusalRowsOfSource,
};

/** Each lost race means that another replica moved the chain on; a sender that loses this often competes with itself. */
const placeAttemptsMax = 8;

/** What became of a candidate: in the ledger, refused, or neither because of a failure of ours. */
type Outcome = { readonly recordHash: Buffer } | Rejection | UnavailableCode;

/** Admission: judges each record, makes it durable, answers. One per pod; any number of pods over one ledger. */
export class Ingest {
  readonly #options: IngestOptions;
  readonly #bounds: IngestBounds;
  readonly #verification: Verification;
  readonly #placement: ChainPlacement;
  readonly #room: Signals;
  #recordsInFlight = 0;
  #payloadBytesInFlight = 0;

  constructor(options: IngestOptions) {
    this.#options = options;
    this.#bounds = { ...defaultBounds, ...options.bounds };
    this.#verification = new Verification(options);
    this.#placement = new ChainPlacement({ ...options, ...this.#bounds });
    this.#room = new Signals(options.clock);
  }

  get recordsInFlight(): number {
    return this.#recordsInFlight;
  }

  get payloadBytesInFlight(): number {
    return this.#payloadBytesInFlight;
  }

  get commitsQueued(): number {
    return this.#placement.commitsQueued;
  }

  /** Whether another record of `payloadBytes` would be judged now rather than answered `overloaded`. */
  hasRoom(payloadBytes: number): boolean {
    const { recordsInFlightMax, payloadBytesInFlightMax } = this.#bounds;
    if (this.#recordsInFlight === 0) return true;
    return (
      this.#recordsInFlight < recordsInFlightMax && this.#payloadBytesInFlight + payloadBytes <= payloadBytesInFlightMax
    );
  }

  /** Resolves when something has been answered, or after `ms`. */
  roomChanged(ms: number): Promise<void> {
    return this.#room.wait('', ms);
  }

  /** The device's committed head as of now, undefined for an unknown device. Rejects with Unavailable. */
  async head(deviceId: string): Promise<ChainHead | undefined> {
    const device = await this.#options.devices.find(deviceId);
    return device && this.#placement.readHead(deviceId);
  }

  /**
   * Judges a record and makes the verdict durable. Never throws.
   * @param predecessor the record before this one of the same device in the same batch: it is judged first, and when it
   * is refused this one is as well
   */
  admit(envelope: Envelope, sender: Sender, predecessor?: Admission): Admission {
    const admission = new Admission();
    const { clock, observer } = this.#options;
    const { record, payload } = envelope;
    const decisionId = clock.uuid();
    const turnedAway =
      this.#limit(record, sender) ?? (this.hasRoom(payload.length) ? undefined : unavailable('overloaded'));
    if (turnedAway !== undefined) {
      observer.decided(turnedAway, record, sender, decisionId);
      admission.settle(turnedAway);
      return admission;
    }
    this.#recordsInFlight++;
    this.#payloadBytesInFlight += payload.length;
    const clockSkew = clockSkewOf(clock.now(), record.timestampMs, this.#bounds.clockSkewMaxMs);
    void this.#decide({ envelope, sender, decisionId, admission, predecessor, clockSkew }).then((verdict) => {
      this.#recordsInFlight--;
      this.#payloadBytesInFlight -= payload.length;
      this.#room.notify('');
      admission.settle(verdict);
    });
    return admission;
  }

  /** Before anything costly: a device over its rate is told so without a look at its signature. */
  #limit({ deviceId }: DeviceRecord, sender: Sender): Verdict | undefined {
    const limited = this.#options.limits.device(deviceId);
    if (limited === undefined) return undefined;
    this.#options.observer.limited(limited.limit, sender);
    return { status: 'unavailable', code: 'rate_limited', retryAfterMs: limited.waitMs };
  }

  async #decide(candidate: Candidate): Promise<Verdict> {
    const { envelope, sender, clockSkew } = candidate;
    const { observer } = this.#options;
    let decision: Decision;
    try {
      const outcome = await this.#judge(candidate);
      if (typeof outcome === 'string') decision = { verdict: unavailable(outcome) };
      else if ('code' in outcome) decision = await this.#refuse(candidate, outcome);
      else decision = { verdict: { status: 'accepted', recordHash: outcome.recordHash } };
    } catch (error) {
      const failure =
        error instanceof Unavailable ? error : new Unavailable('internal', 'unexpected failure', { cause: error });
      observer.failed(failure);
      decision = { verdict: unavailable(unavailableCodes[failure.component]) };
    }
    const { verdict, decisionId = candidate.decisionId } = decision;
    if (verdict.status === 'accepted') observer.clockSkew(Number(clockSkew.ms), clockSkew.flagged);
    observer.decided(verdict, envelope.record, sender, decisionId);
    return verdict;
  }

  /**
   * A refusal counts once its operation log is durable. The next records of its batch are told before, so that their rows
   * share commits with this one. Should this row then fail, the records behind it have been refused for one that was not;
   * nothing that was accepted depends on it, and they are answered as undecided, as this one is. What the log says of
   * them is at worst a refusal that nobody was told of, as after any answer that is lost.
   */
  async #refuse(candidate: Candidate, rejection: Rejection): Promise<Decision> {
    const { envelope, sender, decisionId, admission, admitted, predecessor } = candidate;
    const { deviceId, sequence } = envelope.record;
    const { code, message, identical } = rejection;
    admission.judge(identical === true ? 'in-ledger' : 'refused');
    const source = sender.address;
    if (identical !== true && code !== 'predecessor_rejected') this.#options.limits.chargeRefusal(source);
    const evidence = code === 'equivocation' ? admitted : undefined;
    const row = { decisionId, deviceId, sequence, code, message, source, evidence };
    const logged = await this.#placement.reject(row);
    if (logged.outcome !== 'committed') return { verdict: unavailable(logged.outcome) };
    const before = code === 'predecessor_rejected' ? await predecessor?.verdict : undefined;
    if (before?.status === 'unavailable') return { verdict: unavailable(before.code) };
    return { verdict: { status: 'rejected', rejection }, decisionId: logged.decisionId };
  }

  /** The checks in their order, and again from the start whenever the place in the chain was lost to another replica. */
  async #judge(candidate: Candidate): Promise<Outcome> {
    const { predecessor, envelope } = candidate;
    if (
      predecessor !== undefined &&
      predecessor.judgement === undefined &&
      this.#placement.mayBeUsed(envelope.record)
    ) {
      const refusal = await this.#lookAhead(candidate);
      if (refusal !== undefined) return (await predecessorOutcome(candidate, predecessor.judged)) ?? refusal;
    }
    for (let attempt = 0; attempt < placeAttemptsMax; attempt++) {
      const held = await predecessorOutcome(candidate, attempt === 0 ? predecessor?.placed : predecessor?.judged);
      if (held !== undefined) return held;
      const pending = predecessor !== undefined && predecessor.judgement === undefined;
      const verified = await this.#verification.verify(candidate);
      if ('code' in verified) return verified;
      const placed = await this.#placement.place(candidate, verified.revision);
      if (!('departed' in placed)) {
        // The predecessor may have lost its place meanwhile: then only its judgement tells what becomes of this one.
        if (pending) continue;
        return placed;
      }
      const departure = await placed.departed;
      if (departure === 'committed') return { recordHash: placed.admitted.recordHash };
      if (departure !== 'lost') return departure;
      this.#options.devices.forget(envelope.record.deviceId);
      this.#placement.forget(envelope.record.deviceId);
    }
    return 'chain_contended';
  }

  /**
   * What needs no place in the chain is found out while the record before this one still waits for its own: the record is
   * bad in itself, or it is in the ledger already. So the lines of a batch that is sent again are looked up together.
   */
  async #lookAhead(candidate: Candidate): Promise<Rejection | undefined> {
    const verified = await this.#verification.verify(candidate);
    return 'code' in verified ? verified : this.#placement.findRetry(candidate);
  }
}

/** What a record is told, and the row of the operation log that says so where it is another than its own. */
type Decision = { readonly verdict: Verdict; readonly decisionId?: string };

const unavailableCodes = {
  ledger: 'ledger_unavailable',
  payload_store: 'payload_store_unavailable',
  internal: 'internal_error',
} as const satisfies Record<Unavailable['component'], UnavailableCode>;

/**
 * Undefined when this record may be judged. At first it is enough that the predecessor has its place; when places were
 * lost, its judgement is needed.
 */
async function predecessorOutcome(
  { envelope, predecessor }: Candidate,
  known: Promise<void> | undefined,
): Promise<Outcome | undefined> {
  if (predecessor === undefined) return undefined;
  await known;
  const { settled, judgement } = predecessor;
  if (settled?.status === 'unavailable') return settled.code;
  if (judgement === undefined || judgement === 'in-ledger') return undefined;
  return judgement === 'refused' ? reject.predecessorRejected(envelope.record) : judgement;
}
