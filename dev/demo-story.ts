import { demoKeySeed, liftInspection } from '../src/commands/demo-lift-inspection.ts';
import { DeviceChain } from '../src/device/device-chain.ts';
import { formatEnvelope } from '../src/record/format.ts';
import { recordHash } from '../src/record/hash.ts';
import type { ChainHead, Envelope } from '../src/record/record.ts';
import type { SignatureScheme } from '../src/record/signature.ts';
import { generateSigningKey, type SigningKey, signingKeyFromSeed } from '../src/record/signing-key.ts';
import type { Answer, Link, Page } from './demo-page.ts';
import { type Environment, eds, type Replica } from './eds.ts';

/** Longer than any of the service's own deadlines; the longest is its wait for a predecessor. */
const requestDeadlineMs = 15_000;
const startMs = 1_700_000_000_000n;

type Author = { readonly id: string; readonly scheme: SignatureScheme; readonly key: SigningKey };
export const lift: Author = { id: 'lift-01', scheme: 'payload-v1', key: signingKeyFromSeed(demoKeySeed) };
export const gate: Author = { id: 'gate-07', scheme: 'record-v2', key: generateSigningKey() };
const stranger = generateSigningKey();

export type Cluster = { readonly replicas: readonly [Replica, Replica, Replica]; readonly settings: Environment };

type Refused = {
  readonly title: string;
  readonly sent: string;
  readonly envelope: Envelope;
  readonly code: string;
  readonly identical?: boolean;
  readonly why: string;
};

/** The demo, act by act. Every answer is held against what the page says of it. */
export class DemoStory {
  readonly #cluster: Cluster;
  readonly #page: Page;
  readonly #signal: AbortSignal;
  readonly #chain = new DeviceChain({ deviceId: lift.id, scheme: lift.scheme, key: lift.key });
  readonly #links: Link[] = [];

  constructor(cluster: Cluster, page: Page, signal: AbortSignal) {
    this.#cluster = cluster;
    this.#page = page;
    this.#signal = signal;
  }

  async tell(): Promise<void> {
    const inspection = liftInspection(this.#chain, startMs, `s3://bucket/${lift.id}`);
    await this.#inspect(inspection);
    await this.#loseReplica();
    await this.#refuse(inspection);
    await this.#audit();
    this.#page.end();
  }

  async #inspect(inspection: readonly Envelope[]): Promise<void> {
    this.#page.act('A lift is inspected. Its records go round-robin over the replicas.');
    const [one, two, three] = this.#cluster.replicas;
    for (const [index, envelope] of inspection.entries())
      await this.#deliver(envelope, [one, two, three][index] ?? one);
    this.#page.gap();
    this.#page.text(
      'Each replica judged a record whose predecessor another replica had taken. None of them keeps the chain to ' +
        'itself: PostgreSQL lets each sequence of a device be taken once, whoever asks.',
    );
  }

  async #loseReplica(): Promise<void> {
    this.#page.act('Replica 2 is killed with a record on its way.');
    const [one, two, three] = this.#cluster.replicas;
    const fourth = this.#next('cables');
    const answer = this.#send(fourth, two);
    await two.kill();
    this.#page.delivery('4  cables', two.name, await answer, true);
    const retried = await this.#send(fourth, three);
    const kept = isAccepted(retried) || ('identical' in retried && retried.identical === true);
    this.#page.delivery('4  cables', three.name, retried, kept);
    this.#link(fourth, isAccepted(retried) ? three : two);
    await this.#deliver(this.#next('overspeed'), one);
    await this.#deliver(this.#next('alarm_bell'), three);
    this.#page.gap();
    this.#page.text(
      'Did record 4 arrive? The lift cannot know, and need not: it sends the same bytes again, elsewhere. They are ' +
        'taken now, or known to be there already (identical: true). Either way it goes on, and nothing is there twice.',
    );
  }

  async #refuse(inspection: readonly Envelope[]): Promise<void> {
    this.#page.act('What is refused, and why.');
    for (const refused of forgeries(inspection, this.#chain.head)) await this.#expectRefusal(refused);
    const captured = signed(gate, 'gate=open,count=1');
    const [one] = this.#cluster.replicas;
    const answer = await this.#send(captured, one);
    this.#page.delivery(`1  a first record of ${gate.id}`, one.name, answer, isAccepted(answer));
    this.#page.gap();
    await this.#expectRefusal(relinked(captured));
  }

  async #audit(): Promise<void> {
    this.#page.act('None of it has harmed the chain.');
    await this.#deliver(this.#next('door'), this.#cluster.replicas[0]);
    this.#page.gap();
    this.#page.chain(lift.id, this.#links);
    this.#page.gap();
    this.#page.act('The audit: ledger and payloads once more, through the code that admitted them.');
    const { code, stdout, stderr } = await eds(['audit'], this.#cluster.settings);
    this.#page.output('eds audit', stdout + stderr, code === 0);
    this.#page.gap();
  }

  /** Sends a record of the lift that must be taken. */
  async #deliver(envelope: Envelope, to: Replica): Promise<void> {
    const answer = await this.#send(envelope, to);
    const { sequence, what } = this.#link(envelope, to);
    this.#page.delivery(`${sequence}  ${what}`, to.name, answer, isAccepted(answer));
  }

  #link({ record, payload }: Envelope, by: Replica): Link {
    const what = /check=(\w+)/.exec(payload.toString())?.[1] ?? '';
    const link = {
      sequence: record.sequence,
      recordHash: recordHash(record).toString('hex'),
      prevRecordHash: record.prevRecordHash.toString('hex'),
      replica: by.name,
      what,
    };
    this.#links.push(link);
    return link;
  }

  #next(check: string): Envelope {
    return this.#chain.next(Buffer.from(`check=${check},status=ok`), claim(lift, this.#chain.head.sequence + 1n));
  }

  async #expectRefusal({ title, sent, envelope, code, identical, why }: Refused): Promise<void> {
    const to = this.#cluster.replicas[2];
    const answer = await this.#send(envelope, to);
    const asExpected =
      'status' in answer && answer.status === 422 && answer.code === code && answer.identical === identical;
    this.#page.refusal(title, sent, to.name, answer, asExpected, why);
  }

  async #send(envelope: Envelope, to: Replica): Promise<Answer> {
    try {
      const response = await fetch(`${to.url}/api/v1/ingest`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: formatEnvelope(envelope),
        signal: AbortSignal.any([this.#signal, AbortSignal.timeout(requestDeadlineMs)]),
      });
      const { record_hash: hash, ...body } = (await response.json()) as { record_hash?: string };
      return { ...body, status: response.status, ...(hash !== undefined && { recordHash: hash }) };
    } catch (error) {
      this.#signal.throwIfAborted();
      const { cause, message } = error as Error;
      return { broken: cause instanceof Error ? cause.message : message };
    }
  }
}

/** What goes wrong after the lift's inspection, with its chain at `head`. */
function forgeries([, second, third]: readonly Envelope[], head: ChainHead): readonly Refused[] {
  if (!second || !third) throw new Error('the lift inspection has three records');
  const next = signed(lift, 'check=door,status=FAULT', head);
  return [
    {
      title: 'A tampered payload',
      sent: 'record 7, its payload changed from FAULT to ok on the way',
      envelope: { ...next, payload: Buffer.from('check=door,status=ok') },
      code: 'payload_hash_mismatch',
      why: 'The record carries the BLAKE3 hash of its payload. These bytes have another.',
    },
    {
      title: 'A replay',
      sent: 'record 3 once more, every byte the same',
      envelope: third,
      code: 'duplicate_record',
      identical: true,
      why: 'It is in the ledger, so this changes nothing. A device that lost an answer learns that all is well; whoever replays a captured request gains nothing.',
    },
    {
      title: 'An equivocation',
      sent: 'another record 3: other payload, valid signature, right link',
      envelope: signed(lift, 'check=emergency_brake,status=ok,response_ms=90', headAt(second)),
      code: 'equivocation',
      identical: false,
      why: 'The device has told two stories about its third record. The first stands, the second is kept as evidence.',
    },
    {
      title: 'An unknown device',
      sent: 'record 1 of lift-99',
      envelope: signed({ id: 'lift-99', scheme: 'payload-v1', key: stranger }, 'status=ok'),
      code: 'unknown_device',
      why: 'Nobody has registered lift-99.',
    },
    {
      title: 'An impostor',
      sent: "record 7 of lift-01, signed with a stranger's key",
      envelope: signed({ ...lift, key: stranger }, 'check=door,status=ok', head),
      code: 'invalid_signature',
      why: 'It is not signed by a registered key of lift-01.',
    },
    {
      title: 'A gap',
      sent: 'record 8, without record 7',
      envelope: signed(lift, 'status=ok', headAt(next)),
      code: 'invalid_sequence',
      why: 'Nothing may be left out. The replica waited a moment, since another might have been committing record 7, then said which one the chain waits for.',
    },
    {
      title: 'A re-sequenced record',
      sent: "record 3's payload and signature, put forward as record 7",
      envelope: { ...third, record: { ...third.record, sequence: head.sequence + 1n } },
      code: 'invalid_previous_hash',
      why: "It still links to record 2. But payload-v1, the scheme of today's devices, signs the payload alone: with the link corrected, this would have been taken. Hence the next one.",
    },
  ];
}

/** The device's record put forward a second time, as its own successor. */
function relinked(captured: Envelope): Refused {
  const { sequence, recordHash: prevRecordHash } = headAt(captured);
  return {
    title: 'Re-sequenced with the right link',
    sent: `record 1 of ${gate.id}, captured, put forward as record 2`,
    envelope: { ...captured, record: { ...captured.record, sequence: sequence + 1n, prevRecordHash } },
    code: 'invalid_signature',
    why: `${gate.id} is registered with the scheme record-v2: sequence, time, link and name are signed too. The scheme belongs to the registered key, so no message can ask for the weaker one.`,
  };
}

function isAccepted(answer: Answer): boolean {
  return 'status' in answer && answer.status === 202;
}

/** The author's next record after `head`. */
function signed(author: Author, payload: string, head?: ChainHead): Envelope {
  const { id, scheme, key } = author;
  const chain = new DeviceChain({ deviceId: id, scheme, key, ...(head !== undefined && { head }) });
  return chain.next(Buffer.from(payload), claim(author, chain.head.sequence + 1n));
}

function headAt({ record }: Envelope): ChainHead {
  return { sequence: record.sequence, recordHash: recordHash(record) };
}

function claim({ id }: Author, sequence: bigint) {
  return {
    timestampMs: startMs + (sequence - 1n) * 60_000n,
    objectRef: `s3://bucket/${id}/inspection-${sequence}.bin`,
  };
}
