import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../dev/ports.ts';
import type { IngestAnswer } from '../../src/device/ingest-answer.ts';
import { IngestClient } from '../../src/device/ingest-client.ts';
import { createTestDatabase } from '../support/postgres.ts';
import type { TestDevice } from '../support/service.ts';
import { EdsProcess } from './eds-process.ts';

/** A relay begins again at most its longest backoff after the centre is back. */
const drainDeadlineMs = 90_000;
const lookEveryMs = 50;

/** A centre and a site that belong together: each can be started, killed and started again. */
export class Site {
  readonly databaseUrl: string;
  readonly dataDirectory: string;
  readonly storeDirectory: string;
  readonly #t: TestContext;
  readonly #centreAddress: string;

  private constructor(t: TestContext, databaseUrl: string, directory: string, port: number) {
    this.#t = t;
    this.databaseUrl = databaseUrl;
    this.dataDirectory = join(directory, 'relay');
    this.storeDirectory = join(directory, 'payloads');
    this.#centreAddress = `127.0.0.1:${port}`;
  }

  static async create(t: TestContext): Promise<Site> {
    const directory = await mkdtemp(join(tmpdir(), 'eds-relay-'));
    t.after(() => rm(directory, { recursive: true, force: true }));
    const { url } = await createTestDatabase(t);
    return new Site(t, url, directory, await freePort());
  }

  startCentre(devices: readonly TestDevice[] = []): Promise<EdsProcess> {
    const stores = [`--database-url=${this.databaseUrl}`, `--store-dir=${this.storeDirectory}`];
    const args = ['serve', `--addr=${this.#centreAddress}`, ...stores, '--payload-layout=segment', ...keys(devices)];
    return EdsProcess.start(this.#t, args);
  }

  startRelay(devices: readonly TestDevice[] = [], args: readonly string[] = []): Promise<EdsProcess> {
    return EdsProcess.start(this.#t, [...this.relayArgs, ...keys(devices), ...args]);
  }

  get relayArgs(): string[] {
    const upstream = `--upstream=http://${this.#centreAddress}`;
    return ['relay', '--addr=127.0.0.1:0', upstream, `--data-dir=${this.dataDirectory}`];
  }
}

const keys = (devices: readonly TestDevice[]) =>
  devices.map(({ id, key }) => `--device=${id}=${key.publicKey.toString('hex')}`);

/** Resolves when `holds` does. @throws Error naming `what` when that takes too long */
export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + drainDeadlineMs;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`not within ${drainDeadlineMs} ms: ${what}`);
    await sleep(lookEveryMs);
  }
}

/** Everything is forwarded. */
export function drained(relay: EdsProcess): Promise<void> {
  return until('the queue is empty', async () => (await relay.relayStatus()).backlog.records === 0);
}

export const clientOf = ({ url }: EdsProcess) =>
  new IngestClient({ url: new URL(url), signal: new AbortController().signal });

/** Whatever becomes of the relay meanwhile, the lines are with it in the end. `relay` is asked for anew at each attempt. */
export async function sendUntilTaken(lines: readonly string[], relay: () => EdsProcess): Promise<void> {
  let left = lines;
  await until('the relay has taken the records', async () => {
    const answers: IngestAnswer[] = await clientOf(relay())
      .sendBatch(left)
      .catch(() => []);
    left = left.filter((_, index) => !isTaken(answers[index]));
    return left.length === 0;
  });
}

const isTaken = (answer?: IngestAnswer) =>
  answer?.status === 'accepted' || (answer?.status === 'rejected' && answer.identical);
