import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseAnswer } from '../../../src/device/ingest-answer.ts';
import { formatEnvelope } from '../../../src/record/format.ts';
import { recordHash } from '../../../src/record/hash.ts';
import type { Envelope } from '../../../src/record/record.ts';
import type { Device } from './fleet.ts';
import { type Endpoint, type Exchange, IngressClient } from './ingress-client.ts';
import { until } from './progress.ts';

/**
 * What came of a request. `accepted`: 202. `identical`: the service had the record, its answer was lost. `unavailable`: the
 * service's own 429 or 503. `gateway`: an answer in anybody else's words. The others: see Exchange. A refusal, of a sound
 * record, ends the load.
 */
const outcomes = ['accepted', 'identical', 'unavailable', 'gateway', 'unconnected', 'broken', 'late'] as const;
export type Outcome = (typeof outcomes)[number];

/** Tens of records a second from all devices: the audit, which reads every payload, has to keep up as they add up. */
const pauseMs = 100;
/** Shorter than a device's, so that the service is met in its worst moments. */
const retryPauseMs = 200;
/** Above any outage of the ladder. */
const patienceMs = 240_000;
const reasonsMax = 8;
const reasonCharsMax = 90;

/** What devices do until they are told to end: each sends its chain, a record after the verdict on the one before it. */
export class Load {
  readonly #devices: readonly Device[];
  readonly #counts: Record<Outcome, number>;
  readonly #ending = new AbortController();
  readonly #work: Promise<unknown>;
  /** What failed requests said, and how often. */
  readonly #reasons = new Map<string, number>();
  readonly #startMs = performance.now();
  #lastAcceptedMs = this.#startMs;
  #longestPauseMs = 0;

  constructor(devices: readonly Device[], endpoint: Endpoint) {
    this.#devices = devices;
    this.#counts = { accepted: 0, identical: 0, unavailable: 0, gateway: 0, unconnected: 0, broken: 0, late: 0 };
    this.#work = Promise.all(devices.map((device) => this.#run(device, endpoint)));
    // Told to whoever ends the load; until then the failure must not end the process.
    this.#work.catch(() => this.#ending.abort());
  }

  get counts(): Readonly<Record<Outcome, number>> {
    return this.#counts;
  }

  /** Requests that came to nothing, or whose answer did. */
  get failed(): number {
    return outcomes
      .filter((outcome) => outcome !== 'accepted')
      .reduce((sum, outcome) => sum + this.#counts[outcome], 0);
  }

  /** Until each device has had so many more records accepted. */
  async progress(recordsEach: number): Promise<void> {
    const goals = this.#devices.map((device) => ({ device, goal: device.head.sequence + BigInt(recordsEach) }));
    const isReached = () => goals.every(({ device, goal }) => device.head.sequence > goal);
    await until(`${recordsEach} more records of each device`, async () => {
      if (this.#ending.signal.aborted) await this.#work;
      return isReached() || undefined;
    });
  }

  /** Lets each device see its record through. @throws what a device could not get over */
  async end(): Promise<void> {
    this.#ending.abort();
    await this.#work;
  }

  toString(): string {
    const seconds = (performance.now() - this.#startMs) / 1000;
    const counts = outcomes
      .filter((outcome) => this.#counts[outcome] > 0)
      .map((name) => `${this.#counts[name]} ${name}`);
    const pause = `longest pause ${Math.round(this.#longestPauseMs)} ms`;
    const reasons = [...this.#reasons].map(([reason, times]) => `\n    ${times} x ${reason}`);
    return `${counts.join(', ')} in ${seconds.toFixed(0)} s, ${pause}${reasons.join('')}`;
  }

  async #run(device: Device, endpoint: Endpoint): Promise<void> {
    using client = new IngressClient(endpoint, device);
    while (!this.#ending.signal.aborted) {
      await this.#deliver(client, device.next());
      await sleep(pauseMs);
    }
  }

  async #deliver(client: IngressClient, envelope: Envelope): Promise<void> {
    const line = formatEnvelope(envelope);
    const giveUpAt = performance.now() + patienceMs;
    for (;;) {
      const exchange = await client.send('/api/v1/ingest', line);
      const outcome = outcomeOf(envelope, exchange);
      this.#note(outcome, exchange);
      if (outcome === 'accepted' || outcome === 'identical') return;
      const { deviceId, sequence } = envelope.record;
      if (performance.now() > giveUpAt) throw new Error(`${deviceId} ${sequence} was not decided: ${outcome}`);
      await sleep(retryPauseMs);
    }
  }

  #note(outcome: Outcome, exchange: Exchange): void {
    const nowMs = performance.now();
    this.#counts[outcome]++;
    if (outcome === 'accepted') {
      this.#longestPauseMs = Math.max(this.#longestPauseMs, nowMs - this.#lastAcceptedMs);
      this.#lastAcceptedMs = nowMs;
    } else {
      const said = exchange.kind === 'answer' ? `${exchange.status} ${exchange.text}` : exchange.reason;
      const reason = `${outcome}: ${said.trim().slice(0, reasonCharsMax)}`;
      if (this.#reasons.has(reason) || this.#reasons.size < reasonsMax)
        this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1);
    }
  }
}

function outcomeOf({ record }: Envelope, exchange: Exchange): Outcome {
  if (exchange.kind !== 'answer') return exchange.kind;
  const { status, text } = exchange;
  const answer = parseAnswer(text);
  if (answer?.status === 'accepted') {
    assert.equal(answer.recordHash, recordHash(record).toString('hex'));
    return 'accepted';
  }
  if (answer?.status === 'unavailable') return 'unavailable';
  if (answer?.status === 'rejected' && answer.identical) return 'identical';
  assert.equal(answer, undefined, `${record.deviceId} ${record.sequence} got ${status}: ${text}`);
  return 'gateway';
}
