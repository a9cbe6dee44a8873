import type { Verdict } from '../../src/ingest/verdict.ts';
import { type Envelope, genesis } from '../../src/record/record.ts';
import { describeVerdict } from './attempt.ts';
import type { Cluster } from './cluster.ts';
import { type DeviceModel, headAfter } from './device-model.ts';

/** Far more than the faults of a schedule can cost: past it, the service does not answer. */
const triesMax = 150;
const pauseMsMax = 200;

export type SessionOptions = {
  readonly cluster: Cluster;
  readonly model: DeviceModel;
  /** How many records the device has to deliver. */
  readonly goal: number;
  /** Records in flight at once: each in a request of its own, or all in one batch. */
  readonly width: number;
  readonly batch: boolean;
  /** How long it waits for an answer before it asks again; twice as long each time. */
  readonly patienceMs: number;
  /** Tells the record at this place from another device's claim to it. */
  readonly textAt: (sequence: number) => string;
};

type Answer = Verdict | undefined;

/** A device that sends its chain in order and again until each record is answered, as src/device does. */
export class Session {
  readonly #options: SessionOptions;
  readonly #chain: Envelope[] = [];
  #delivered = 0;
  #patienceMs: number;
  /** The key that signs what is made from now on. */
  keyIndex: 0 | 1 = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#patienceMs = options.patienceMs;
  }

  /** The last record that the device has made. */
  get last(): Envelope | undefined {
    return this.#chain.at(-1);
  }

  /** Resolves with undefined when all is delivered, or with the final refusal that ended it. */
  async run(): Promise<Verdict | 'unanswered' | undefined> {
    const { cluster, goal, width } = this.#options;
    const { scheduler, random } = cluster.network;
    for (let tries = 0; tries < triesMax; tries++) {
      if (this.#delivered === goal) return undefined;
      const sent = this.#next(Math.min(goal, this.#delivered + random.integer(1, width)));
      const answers = await this.#send(sent);
      const refusal = this.#note(answers);
      if (refusal !== undefined && !(await this.#recover(refusal))) return refusal;
      if (answers.includes(undefined)) this.#patienceMs *= 2;
      if (answers.some((answer) => answer?.status !== 'accepted')) await scheduler.sleep(random.next() * pauseMsMax);
    }
    return 'unanswered';
  }

  /** The records not yet delivered up to sequence `until`, and at times one that is. */
  #next(until: number): Envelope[] {
    const { model, textAt, cluster } = this.#options;
    while (this.#chain.length < until) {
      const last = this.#chain.at(-1);
      const head = last === undefined ? genesis : headAfter(last);
      this.#chain.push(model.envelope(head, this.keyIndex, { text: textAt(this.#chain.length + 1) }));
    }
    if (this.#delivered > 0 && cluster.network.random.chance(0.1)) this.#delivered--;
    return this.#chain.slice(this.#delivered, until);
  }

  async #send(envelopes: readonly Envelope[]): Promise<Answer[]> {
    const { cluster, batch } = this.#options;
    if (batch) return cluster.send(envelopes, this.#patienceMs);
    const answers = await Promise.all(envelopes.map((envelope) => cluster.send([envelope], this.#patienceMs)));
    return answers.flat();
  }

  /** Counts what is delivered without a gap. Answers with the refusal right behind it. */
  #note(answers: readonly Answer[]): Extract<Verdict, { status: 'rejected' }> | undefined {
    for (const answer of answers) {
      if (answer === undefined || answer.status === 'unavailable') return undefined;
      if (answer.status === 'rejected' && answer.rejection.identical !== true) return answer;
      this.#delivered++;
    }
    return undefined;
  }

  /** Whether the device may go on: it was ahead of itself, or the key that it had signed with has been revoked. */
  async #recover({ rejection }: Extract<Verdict, { status: 'rejected' }>): Promise<boolean> {
    const { batch, width, cluster, model } = this.#options;
    if (rejection.code === 'invalid_sequence') return !batch && width > 1;
    if (rejection.code !== 'invalid_signature' || this.keyIndex === 0) return false;
    const head = await cluster.readHead(model.id);
    if (head === undefined) return true;
    this.#delivered = Number(head.sequence);
    this.#chain.splice(this.#delivered);
    return true;
  }
}

/** A device that behaves must get all of its records in. */
export async function runFaithfully(session: Session, name: string, cluster: Cluster): Promise<void> {
  const end = await session.run();
  if (end === undefined) return;
  const how = end === 'unanswered' ? `has no answer after ${triesMax} tries` : `was told ${describeVerdict(end)}`;
  cluster.fault(`${name} behaves, and ${how}`);
}
