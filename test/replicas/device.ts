import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeviceChain } from '../../src/device/device-chain.ts';
import { type IngestAnswer, parseAnswer } from '../../src/device/ingest-answer.ts';
import { formatEnvelope } from '../../src/record/format.ts';
import { recordHash } from '../../src/record/hash.ts';
import type { Envelope } from '../../src/record/record.ts';
import type { SignatureScheme } from '../../src/record/signature.ts';
import { generateSigningKey } from '../../src/record/signing-key.ts';
import type { Choices } from './choices.ts';
import type { Journal, Trouble } from './journal.ts';
import type { Exchange, RoundRobin } from './round-robin.ts';

/** `delivered`: the service has it. `ahead`: a predecessor is missing. `equivocation`: another record has its sequence. */
export type Verdict = 'delivered' | 'ahead' | 'equivocation';

export type DeviceOptions = {
  readonly id: string;
  readonly scheme: SignatureScheme;
  /** How often a request reaches two replicas at once. */
  readonly doubledProbability: number;
  readonly choices: Choices;
  readonly journal: Journal;
  readonly client: RoundRobin;
  /** Aborted when the story has failed. */
  readonly signal: AbortSignal;
};

/** Between a request that decided nothing and the next: shorter than a device's, so that replicas are met in their worst moments. */
const retryPauseMs = 25;
/** Above any outage of the story. */
const patienceMs = 120_000;
const payloadBytesMax = 3000;
/** Records that claim an object key which another of the device has taken. */
const reusedRefProbability = 0.1;

/** A device: it makes records, sends them until they are decided, and writes down what it hears. */
export class Device {
  readonly id: string;
  readonly scheme: SignatureScheme;
  readonly doubledProbability: number;
  readonly key = generateSigningKey();
  readonly choices: Choices;
  readonly chain: DeviceChain;
  readonly #journal: Journal;
  readonly #client: RoundRobin;
  readonly #signal: AbortSignal;

  constructor({ id, scheme, doubledProbability, choices, journal, client, signal }: DeviceOptions) {
    this.id = id;
    this.scheme = scheme;
    this.doubledProbability = doubledProbability;
    this.choices = choices;
    this.chain = new DeviceChain({ deviceId: id, scheme, key: this.key });
    this.#journal = journal;
    this.#client = client;
    this.#signal = signal;
  }

  /** Records that follow one another, the first after the chain's head. */
  make(count: number): Envelope[] {
    return Array.from({ length: count }, () => {
      const payload = this.choices.bytes(this.choices.below(payloadBytesMax));
      const name = this.choices.chance(reusedRefProbability) ? 'reused' : this.chain.head.sequence + 1n;
      return this.chain.next(payload, { timestampMs: BigInt(Date.now()), objectRef: `s3://bucket/${this.id}/${name}` });
    });
  }

  /** Sends the record until it is decided. Fails on any refusal that `allowed` does not name. */
  deliver(envelope: Envelope, allowed: readonly Verdict[] = []): Promise<Verdict> {
    return this.#untilDecided(`${this.id} ${envelope.record.sequence}`, () => this.attempt(envelope, allowed));
  }

  /** Sends the records as one batch, again and again, until the service has them all. */
  async deliverBatch(envelopes: readonly Envelope[]): Promise<void> {
    const first = envelopes[0]?.record.sequence;
    await this.#untilDecided(`batch of ${this.id} from ${first}`, () => this.#attemptBatch(envelopes));
  }

  /** One request. Undefined when it decided nothing. */
  async attempt(envelope: Envelope, allowed: readonly Verdict[] = []): Promise<Verdict | undefined> {
    const knownSequence = this.#journal.lastAcknowledged(this.id);
    const exchange = await this.#client.send({
      method: 'POST',
      path: '/api/v1/ingest',
      contentType: 'application/json',
      body: formatEnvelope(envelope),
    });
    if (exchange.kind !== 'answer') return this.#noteTrouble(exchange);
    return this.#read(envelope, exchange.text, allowed, knownSequence);
  }

  async #attemptBatch(envelopes: readonly Envelope[]): Promise<'delivered' | undefined> {
    const exchange = await this.#client.send({
      method: 'POST',
      path: '/api/v1/ingest/batch',
      contentType: 'application/x-ndjson',
      body: `${envelopes.map(formatEnvelope).join('\n')}\n`,
    });
    if (exchange.kind !== 'answer') this.#noteTrouble(exchange);
    // An answer that broke off holds for the lines that came whole.
    const lines = exchange.kind === 'refused' ? [] : exchange.text.split('\n').slice(0, -1);
    const verdicts = lines.map((line, index) => {
      const envelope = envelopes[index];
      assert.ok(envelope, `more verdicts than lines: ${line}`);
      return this.#read(envelope, line, [], 0n);
    });
    if (exchange.kind === 'answer') assert.equal(lines.length, envelopes.length, `a verdict a line: ${exchange.text}`);
    const delivered = verdicts.filter((verdict) => verdict === 'delivered');
    return delivered.length === envelopes.length ? 'delivered' : undefined;
  }

  #read(envelope: Envelope, text: string, allowed: readonly Verdict[], knownSequence: bigint): Verdict | undefined {
    const answer = parseAnswer(text);
    assert.ok(answer, `not an answer: ${text}`);
    if (answer.status === 'unavailable') return this.#noteTrouble('unavailable');
    const verdict = verdictOf(envelope, answer, knownSequence);
    const expected = verdict !== undefined && ['delivered', ...allowed].includes(verdict);
    assert.ok(expected, `${this.id} ${envelope.record.sequence} was refused: ${text}`);
    if (verdict === 'delivered')
      this.#journal.acknowledge(envelope, answer.status === 'accepted' ? 'accepted' : 'identical');
    else this.#journal.counts[verdict]++;
    return verdict;
  }

  /** Nothing is decided: the request goes again. */
  #noteTrouble(trouble: Trouble | Exclude<Exchange, { kind: 'answer' }>): undefined {
    if (typeof trouble === 'string') this.#journal.trouble(trouble);
    else {
      if (trouble.kind === 'broken' && trouble.status !== undefined) this.#journal.cutResponses++;
      this.#journal.trouble(trouble.kind === 'refused' ? 'no replica' : trouble.kind);
    }
  }

  async #untilDecided<T>(what: string, attempt: () => Promise<T | undefined>): Promise<T> {
    const giveUpAt = performance.now() + patienceMs;
    for (;;) {
      const decided = await attempt();
      if (decided !== undefined) return decided;
      if (performance.now() > giveUpAt) throw new Error(`${what} was not decided within ${patienceMs / 1000} s`);
      await sleep(retryPauseMs, undefined, { signal: this.#signal });
    }
  }
}

/**
 * The verdict of a decided answer, undefined for a refusal that no device of the story earns.
 * @param knownSequence acknowledged before the request was sent: no replica may have forgotten it
 */
function verdictOf(envelope: Envelope, answer: DecidedAnswer, knownSequence: bigint): Verdict | undefined {
  if (answer.status === 'accepted') {
    assert.equal(answer.recordHash, recordHash(envelope.record).toString('hex'));
    return 'delivered';
  }
  if (answer.identical) return 'delivered';
  if (answer.code === 'equivocation') return 'equivocation';
  if (answer.code !== 'invalid_sequence') return undefined;
  const { expectedSequence = 0n } = answer;
  const missed = `${envelope.record.deviceId}: ${knownSequence} was acknowledged, and then ${expectedSequence} expected`;
  assert.ok(expectedSequence > knownSequence, missed);
  return 'ahead';
}

type DecidedAnswer = Exclude<IngestAnswer, { status: 'unavailable' }>;
