import { encodeRecord } from '../record/encoding.ts';
import { blake3Hash } from '../record/hash.ts';
import { judgeAuthor, judgeIdentity, judgeObjectRef, judgePayload, type ObjectRefScope } from '../record/judge.ts';
import type { ChainHead, Envelope } from '../record/record.ts';
import { type Rejection, reject, type UnavailableCode } from '../record/rejection.ts';
import { Admission } from './admission.ts';
import type { Candidate } from './candidate.ts';
import { ChainPlacement } from './chain-placement.ts';
import {
  type Clock,
  type DeviceDirectory,
  type Ledger,
  type Observer,
  type PayloadStore,
  type Sender,
  Unavailable,
} from './ports.ts';
import { Signals } from './signals.ts';
import { isInLedger, unavailable, type Verdict } from './verdict.ts';

export type IngestOptions = {
  readonly ledger: Ledger;
  readonly payloadStore: PayloadStore;
  readonly devices: DeviceDirectory;
  readonly observer: Observer;
  readonly clock: Clock;
  readonly objectRefScope: ObjectRefScope;
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
};

const defaultBounds: IngestBounds = {
  recordsInFlightMax: 4096,
  payloadBytesInFlightMax: 48 * 1024 * 1024,
  headsMax: 100_000,
  predecessorWaitMs: 1000,
};

/** Each lost race means that another replica moved the chain on; a sender that loses this often competes with itself. */
const placeAttemptsMax = 8;

/** What became of a candidate: in the ledger, refused, or neither because of a failure of ours. */
type Outcome = { readonly recordHash: Buffer } | Rejection | UnavailableCode;

/** Admission: judges each record, makes it durable, answers. One per pod; any number of pods over one ledger. */
export class Ingest {
  readonly #options: IngestOptions;
  readonly #bounds: IngestBounds;
  readonly #placement: ChainPlacement;
  readonly #room: Signals;
  #recordsInFlight = 0;
  #payloadBytesInFlight = 0;

  constructor(options: IngestOptions) {
    this.#options = options;
    this.#bounds = { ...defaultBounds, ...options.bounds };
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
    const decisionId = this.#options.clock.uuid();
    const { length } = envelope.payload;
    if (!this.hasRoom(length)) {
      this.#options.observer.decided(unavailable('overloaded'), envelope.record, sender, decisionId);
      admission.settle(unavailable('overloaded'));
      return admission;
    }
    this.#recordsInFlight++;
    this.#payloadBytesInFlight += length;
    void this.#decide({ envelope, sender, decisionId, admission, predecessor }).then((verdict) => {
      this.#recordsInFlight--;
      this.#payloadBytesInFlight -= length;
      this.#room.notify('');
      admission.settle(verdict);
    });
    return admission;
  }

  async #decide(candidate: Candidate): Promise<Verdict> {
    const { envelope, sender, decisionId } = candidate;
    let verdict: Verdict;
    try {
      const outcome = await this.#judge(candidate);
      if (typeof outcome === 'string') verdict = unavailable(outcome);
      else if ('code' in outcome) verdict = await this.#refuse(candidate, outcome);
      else verdict = { status: 'accepted', recordHash: outcome.recordHash };
    } catch (error) {
      const failure =
        error instanceof Unavailable ? error : new Unavailable('internal', 'unexpected failure', { cause: error });
      this.#options.observer.failed(failure);
      verdict = unavailable(unavailableCodes[failure.component]);
    }
    this.#options.observer.decided(verdict, envelope.record, sender, decisionId);
    return verdict;
  }

  /** A refusal counts once its operation log is durable. */
  async #refuse({ envelope: { record }, decisionId, admitted }: Candidate, rejection: Rejection): Promise<Verdict> {
    const { deviceId, sequence } = record;
    const { code, message } = rejection;
    const evidence = code === 'equivocation' ? admitted : undefined;
    const logged = await this.#placement.reject({ decisionId, deviceId, sequence, code, message, evidence });
    return logged === 'committed' ? { status: 'rejected', rejection } : unavailable(logged);
  }

  /** The checks in their order, and again from the start whenever the place in the chain was lost to another replica. */
  async #judge(candidate: Candidate): Promise<Outcome> {
    const { deviceId } = candidate.envelope.record;
    for (let attempt = 0; attempt < placeAttemptsMax; attempt++) {
      const held = await predecessorOutcome(candidate, attempt === 0);
      if (held !== undefined) return held;
      const pending = candidate.predecessor !== undefined && candidate.predecessor.settled === undefined;
      const found = this.#options.devices.find(deviceId);
      const device = found instanceof Promise ? await found : found;
      const refusal = this.#verify(candidate, device);
      if (refusal !== undefined) return refusal;
      const placed = await this.#placement.place(candidate, device?.revision ?? 0n);
      if (!('departed' in placed)) {
        // The predecessor may have lost its place meanwhile: then only its verdict tells what becomes of this one.
        if (pending) continue;
        return placed;
      }
      const departure = await placed.departed;
      if (departure === 'committed') return { recordHash: placed.admitted.recordHash };
      if (departure !== 'lost') return departure;
      this.#options.devices.forget(deviceId);
      this.#placement.forget(deviceId);
    }
    return 'chain_contended';
  }

  #verify(candidate: Candidate, device: Parameters<typeof judgeAuthor>[1]): Rejection | undefined {
    const { envelope, sender } = candidate;
    const { record, payload } = envelope;
    const startMs = this.#options.clock.now();
    const refusal =
      (candidate.admitted === undefined ? judgePayload(envelope) : undefined) ??
      judgeIdentity(record, sender.identity) ??
      judgeAuthor(record, device, startMs) ??
      judgeObjectRef(record, this.#options.objectRefScope);
    if (refusal === undefined && candidate.admitted === undefined) {
      const encoded = encodeRecord(record);
      candidate.admitted = { record, encoded, recordHash: blake3Hash(encoded), payload };
    }
    this.#options.observer.stage('verify', startMs, this.#options.clock.now(), sender);
    return refusal;
  }
}

const unavailableCodes = {
  ledger: 'ledger_unavailable',
  payload_store: 'payload_store_unavailable',
  internal: 'internal_error',
} as const satisfies Record<Unavailable['component'], UnavailableCode>;

/**
 * Undefined when this record may be judged. The first time it is enough that the predecessor has its place; when places
 * were lost, its verdict is needed.
 */
async function predecessorOutcome({ envelope, predecessor }: Candidate, first: boolean): Promise<Outcome | undefined> {
  if (predecessor === undefined) return undefined;
  await (first ? predecessor.placed : predecessor.verdict);
  const { settled } = predecessor;
  if (settled === undefined || isInLedger(settled)) return undefined;
  return settled.status === 'unavailable' ? settled.code : reject.predecessorRejected(envelope.record);
}
