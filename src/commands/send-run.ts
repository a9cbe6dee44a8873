import { adviceOn } from '../device/advice.ts';
import { Backoff } from '../device/backoff.ts';
import { ChainSender, readHead } from '../device/chain-sender.ts';
import { DeliveryFailed, type DeliveryOutcome, deliver, type Rejected } from '../device/delivery.ts';
import { DeviceChain } from '../device/device-chain.ts';
import { IngestClient, RequestRefused } from '../device/ingest-client.ts';
import type { SigningKey } from '../record/signing-key.ts';
import { Failure, type Io } from './command.ts';
import { isBlank, openInput, readLines } from './files.ts';
import { Progress } from './progress.ts';
import type { SendOptions } from './send.ts';
import { batches, batchRecordsMax, generatePayloads, numbered } from './send-input.ts';

/** Signs the payloads that `options` name onto the device's chain and sends them. @throws Failure */
export async function sendPayloads(
  options: SendOptions & { deviceId: string },
  key: SigningKey,
  io: Io,
): Promise<void> {
  const { deviceId, scheme, url, single, objectPrefix = `${deviceId}/` } = options;
  const tally = new Tally(io, options.json, options.skip);
  await tally.run(async () => {
    const client = new IngestClient({ url, signal: io.signal });
    const backoff = new Backoff({ attempts: options.attempts, signal: io.signal });
    const head = await readHead(client, deviceId, backoff);
    if (head === undefined) throw new Failure(unregistered(deviceId, scheme, key));
    backoff.reset();
    const chain = new DeviceChain({ deviceId, scheme, key, head });
    const sender = new ChainSender({
      chain,
      client,
      backoff,
      single,
      objectRef: (sequence) => `${objectPrefix}${sequence}`,
      now: Date.now,
      resumed: ({ sequence }) =>
        io.stderr.write(`${deviceId}: the service is at sequence ${sequence}, going on from there\n`),
    });
    for await (const batch of inBatches(payloadsOf(options, io), options, io)) {
      const { delivered, refusal } = await sender.send(batch.map(({ bytes }) => bytes));
      tally.add(delivered, 0, (batch[0]?.number ?? 1) - 1 + delivered);
      if (refusal) throw new Failure(`sequence ${refusal.sequence} was refused: ${explained(refusal.answer)}`);
    }
    const { sequence, recordHash } = chain.head;
    return { device_id: deviceId, sequence: String(sequence), record_hash: recordHash.toString('hex') };
  });
}

/** Sends ready envelopes. Those of one device hang together, others do not: a refusal does not stop the rest. @throws Failure */
export async function sendEnvelopes(options: SendOptions, io: Io): Promise<void> {
  const { url, single, envelopesFile = '-' } = options;
  const tally = new Tally(io, options.json, options.skip);
  await tally.run(async () => {
    const client = new IngestClient({ url, signal: io.signal });
    const backoff = new Backoff({ attempts: options.attempts, signal: io.signal });
    const lines = readLines(await openInput(envelopesFile, '--envelopes-file', io), '--envelopes-file');
    let firstRefusal = '';
    for await (const all of inBatches(lines, options, io)) {
      const batch = all.filter(({ bytes }) => !isBlank(bytes));
      if (batch.length === 0) continue;
      const { delivered, refusals } = await deliver(
        batch.map(({ bytes }) => bytes.toString('utf8')),
        { client, backoff, single },
      );
      const [first] = refusals;
      if (first) firstRefusal ||= `line ${batch[first.index]?.number}: ${explained(first.answer)}`;
      tally.add(delivered, refusals.length, all.at(-1)?.number ?? 0);
    }
    if (firstRefusal) throw new Failure(`${tally.refused} records were refused, the first at ${firstRefusal}`);
    return {};
  });
}

function inBatches(groups: AsyncIterable<Buffer[]>, { rate, single, skip }: SendOptions, { signal }: Io) {
  return batches(numbered(groups, skip), { recordsMax: single ? 1 : batchRecordsMax, rate, signal });
}

async function* payloadsOf(
  { payload, payloadFile, generate, payloadBytes }: SendOptions,
  io: Io,
): AsyncGenerator<Buffer[]> {
  if (payload !== undefined) yield [Buffer.from(payload)];
  if (payloadFile !== undefined) yield* readLines(await openInput(payloadFile, '--payload-file', io), '--payload-file');
  if (generate !== undefined) yield* generatePayloads(generate, payloadBytes);
}

function explained({ code, error }: Rejected): string {
  return `${code}: ${error}: ${adviceOn(code)}`;
}

function unregistered(deviceId: string, scheme: string, key: SigningKey): string {
  const publicKey = key.publicKey.toString('hex');
  return `the service does not know the device: eds device register ${deviceId} --public-key ${publicKey} --scheme ${scheme}`;
}

/** Counts what was sent, shows it while it goes on, and sums it up however it ends. */
class Tally {
  delivered = 0;
  refused = 0;
  readonly #io: Io;
  readonly #json: boolean;
  /** Of the input, how many items are decided: where another run would go on. */
  #position: number;
  readonly #startMs = performance.now();
  readonly #progress: Progress;

  constructor(io: Io, json: boolean, skipped: number) {
    this.#io = io;
    this.#json = json;
    this.#position = skipped;
    this.#progress = new Progress(io.stderr);
  }

  add(delivered: number, refused: number, position: number): void {
    this.delivered += delivered;
    this.refused += refused;
    this.#position = position;
    this.#progress.update(() => `${this.#counts()}, ${this.#perSecond()}/s`);
  }

  /** @param sending sends it all and returns what else the summary should say */
  async run(sending: () => Promise<Record<string, string>>): Promise<void> {
    try {
      this.#summarize(await sending());
    } catch (error) {
      if (error instanceof DeliveryFailed) this.#addPart(error.outcome);
      this.#summarize({});
      throw this.#failure(error);
    } finally {
      this.#progress[Symbol.dispose]();
    }
  }

  /** What is known of a batch that failed. Only where nothing was refused are the delivered ones those at its start. */
  #addPart({ delivered, refusals }: DeliveryOutcome): void {
    this.add(delivered, refusals.length, this.#position + (refusals.length === 0 ? delivered : 0));
  }

  #summarize(more: Record<string, string>): void {
    const { delivered, refused } = this;
    const seconds = (performance.now() - this.#startMs) / 1000;
    const summary = {
      delivered,
      refused,
      seconds: Number(seconds.toFixed(3)),
      records_per_second: this.#perSecond(),
      ...more,
    };
    const head = more.sequence ? `; ${more.device_id} is at sequence ${more.sequence}, head ${more.record_hash}` : '';
    this.#progress[Symbol.dispose]();
    this.#io.stdout.write(
      this.#json
        ? `${JSON.stringify(summary)}\n`
        : `${this.#counts()} in ${seconds.toFixed(1)} s, ${this.#perSecond()}/s${head}\n`,
    );
  }

  #failure(error: unknown): unknown {
    const goOn = this.#position > 0 ? `; go on with --skip ${this.#position}` : '';
    if (this.#io.signal.aborted) return new Failure(`interrupted${goOn}`);
    if (error instanceof DeliveryFailed) return new Failure(`gave up after all attempts: ${error.message}${goOn}`);
    if (error instanceof RequestRefused)
      return new Failure(
        `the service refused the request: ${error.code}: ${error.message}: ${adviceOn(error.code)}${goOn}`,
      );
    return error;
  }

  #counts(): string {
    return `${this.delivered} delivered${this.refused > 0 ? `, ${this.refused} refused` : ''}`;
  }

  #perSecond(): number {
    return Math.round(this.delivered / Math.max(0.001, (performance.now() - this.#startMs) / 1000));
  }
}
