/** The ingest service over a test database and a temporary directory store: in this process, or in one of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import type pg from 'pg';
import { systemClock } from '../../src/commands/system-clock.ts';
import { DeviceChain } from '../../src/device/device-chain.ts';
import { Ingest, type IngestBounds } from '../../src/ingest/ingest.ts';
import type { Ledger, Observer, PayloadStore } from '../../src/ingest/ports.ts';
import { RateLimits, type RateLimitsOptions } from '../../src/ingest/rate-limits.ts';
import { SourceAllowlist } from '../../src/ingest/source-allowlist.ts';
import { PostgresDeviceDirectory } from '../../src/ledger/device-directory.ts';
import { DeviceRegistry } from '../../src/ledger/device-registry.ts';
import { PostgresLedger } from '../../src/ledger/ledger.ts';
import { connectionOptions, openPool } from '../../src/ledger/pool.ts';
import { openDirectoryStore } from '../../src/payload-store/open.ts';
import { formatEnvelope } from '../../src/record/format.ts';
import { type Envelope, genesis } from '../../src/record/record.ts';
import { generateSigningKey } from '../../src/record/signing-key.ts';
import { httpApp } from '../../src/transport/http/app.ts';
import type { RequestObserver } from '../../src/transport/http/request-context.ts';
import { listen } from '../../src/transport/http/server.ts';
import { createTestDatabase } from './postgres.ts';

export const silentObserver: Observer & RequestObserver = {
  decided: () => {},
  failed: () => {},
  stage: () => {},
  clockSkew: () => {},
  committed: () => {},
  headLookup: () => {},
  started: () => ({ trace: undefined, ended: () => {} }),
  refused: () => {},
  limited: () => {},
};

/** A device of the test's own, with its key and its end of the chain. */
export class TestDevice {
  readonly id: string;
  readonly key = generateSigningKey();
  readonly #chain: DeviceChain;

  constructor(id: string) {
    this.id = id;
    this.#chain = new DeviceChain({ deviceId: id, scheme: 'payload-v1', key: this.key, head: genesis });
  }

  async register(registry: DeviceRegistry): Promise<this> {
    await registry.register(this.id, { scheme: 'payload-v1', publicKey: this.key.publicKey });
    return this;
  }

  get head(): DeviceChain['head'] {
    return this.#chain.head;
  }

  /** The next record of the chain. */
  next(payload: Buffer | string = `payload ${this.#chain.head.sequence + 1n} of ${this.id}`): Envelope {
    const claim = { timestampMs: 1_700_000_000_000n, objectRef: `${this.id}/${this.#chain.head.sequence + 1n}.bin` };
    return this.#chain.next(Buffer.from(payload), claim);
  }

  /** The same as JSON text, as it is posted. */
  nextBody(payload?: Buffer | string): string {
    return formatEnvelope(this.next(payload));
  }

  nextBodies(count: number): string[] {
    return Array.from({ length: count }, () => this.nextBody());
  }

  /** Another record at the place of the last one made, as an attacker with the key would sign it. */
  rival(payload: string): Envelope {
    const head = this.#chain.head;
    this.#chain.resumeFrom({ ...genesis, sequence: head.sequence - 1n });
    const rival = this.next(payload);
    this.#chain.resumeFrom(head);
    return rival;
  }
}

export type ServiceOptions = {
  readonly allowedSources?: readonly string[];
  readonly trustedProxies?: readonly string[];
  readonly envelopeBytesMax?: number;
  readonly host?: string;
  readonly bounds?: Partial<IngestBounds>;
  /** None but these. `now` is the clock of the limits alone. */
  readonly limits?: Partial<RateLimitsOptions>;
  readonly draining?: () => boolean;
  /** Stands between admission and its stores, to make them fail. */
  readonly wrapLedger?: (ledger: Ledger) => Ledger;
  readonly wrapStore?: (store: PayloadStore) => PayloadStore;
};

export const defaultEnvelopeBytesMax = 256 * 1024;

/** Admission with the real stores behind the real HTTP app, in this process. */
export async function startService(t: TestContext, options: ServiceOptions = {}) {
  const { url: databaseUrl } = await createTestDatabase(t);
  const directory = await mkdtemp(join(tmpdir(), 'eds-service-'));
  const errors: unknown[] = [];
  const onError = (error: unknown) => errors.push(error);
  const postgres = { databaseUrl, applicationName: 'edgesentry test' };
  const pool = openPool({ ...postgres, connectionsMax: 4 }, onError);
  const archive = await openDirectoryStore({ directory, layout: 'segment' });
  const devices = new PostgresDeviceDirectory({
    pool,
    listenerConfig: connectionOptions(postgres),
    clock: systemClock,
    onError,
  });
  const ledger = new PostgresLedger(pool);
  const noLimits = { source: undefined, device: undefined, pod: undefined, refused: undefined };
  const limits = new RateLimits({ ...noLimits, now: () => performance.now(), ...options.limits });
  const ingest = new Ingest({
    ledger: options.wrapLedger?.(ledger) ?? ledger,
    payloadStore: options.wrapStore?.(archive) ?? archive,
    devices,
    observer: silentObserver,
    clock: systemClock,
    objectRefScope: 'device',
    limits,
    ...(options.bounds && { bounds: options.bounds }),
  });
  const app = httpApp({
    ingest,
    limits,
    observer: silentObserver,
    peerOf: ({ remoteAddress: address }) => ({ address, identities: undefined, retired: false }),
    allowedSources: new SourceAllowlist(options.allowedSources ?? ['127.0.0.1']),
    trustedProxies: new SourceAllowlist(options.trustedProxies ?? []),
    envelopeBytesMax: options.envelopeBytesMax ?? defaultEnvelopeBytesMax,
    draining: options.draining ?? (() => false),
    onError,
  });
  const listener = await listen(app, { host: options.host ?? '127.0.0.1', port: 0 });
  const { port } = listener.address;
  const registry = new DeviceRegistry(pool);
  return {
    databaseUrl,
    pool,
    ingest,
    port,
    url: `http://127.0.0.1:${port}`,
    /** What the app could not explain to a client: nothing, in a test that does not break anything of ours. */
    errors,
    device: (id: string): Promise<TestDevice> => new TestDevice(id).register(registry),
    async [Symbol.asyncDispose](): Promise<void> {
      listener.destroy();
      await listener.drain();
      await devices[Symbol.asyncDispose]();
      await pool.end();
      await archive[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    },
  };
}

export type TestService = Awaited<ReturnType<typeof startService>>;

/** How many committed records the device has. */
export async function recordCount(pool: pg.Pool, deviceId: string): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM audit_records WHERE device_id = $1',
    [deviceId],
  );
  return rows[0]?.count ?? 0;
}

const mainFile = join(import.meta.dirname, '../../src/main.ts');
/** Node starts and strips types in under a second here; a loaded machine may need many times that. */
const startDeadlineMs = 30_000;

export type LogLine = Readonly<Record<string, unknown>> & { readonly message: string };

/** `eds serve` as a process of its own, on free ports. */
export class ServeProcess implements AsyncDisposable {
  readonly log: readonly LogLine[];
  readonly url: string;
  readonly opsUrl: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  private constructor(child: ChildProcess, exited: Promise<unknown>, log: readonly LogLine[], listening: LogLine) {
    this.#child = child;
    this.#exited = exited;
    this.log = log;
    this.url = urlOf(listening.ingest);
    this.opsUrl = urlOf(listening.ops);
  }

  /** @throws Error with the process's last words when it ends instead of listening */
  static async start(
    t: TestContext,
    databaseUrl: string,
    { args = [], env = {} }: { args?: readonly string[]; env?: Readonly<Record<string, string>> } = {},
  ): Promise<ServeProcess> {
    const directory = await mkdtemp(join(tmpdir(), 'eds-serve-'));
    t.after(() => rm(directory, { recursive: true, force: true }));
    const flags = ['--addr=127.0.0.1:0', '--ops-addr=127.0.0.1:0', `--store-dir=${directory}`, ...args];
    const child = spawn(process.execPath, [mainFile, 'serve', ...flags], {
      env: { PATH: process.env.PATH ?? '', DATABASE_URL: databaseUrl, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    t.after(() => child.kill('SIGKILL'));
    const exited = once(child, 'exit');
    const log: LogLine[] = [];
    let complaints = '';
    child.stderr.on('data', (chunk: Buffer) => {
      complaints += chunk.toString();
    });
    const listening = new Promise<LogLine>((resolve) => {
      createInterface({ input: child.stdout }).on('line', (text) => {
        const line = JSON.parse(text) as LogLine;
        log.push(line);
        if (line.message === 'listening') resolve(line);
      });
    });
    const ended = exited.then(() => {
      throw new Error(`eds serve ended at once: ${complaints}`);
    });
    const late = AbortSignal.timeout(startDeadlineMs);
    const aborted = once(late, 'abort').then(() => {
      throw new Error(`eds serve did not listen within ${startDeadlineMs} ms: ${complaints}${JSON.stringify(log)}`);
    });
    return new ServeProcess(child, exited, log, await Promise.race([listening, ended, aborted]));
  }

  /** Bytes, as its own metrics tell. */
  async residentBytes(): Promise<number> {
    const text = await (await fetch(`${this.opsUrl}/metrics`)).text();
    const bytes = Number(/^process_resident_memory_bytes (\S+)/m.exec(text)?.[1]);
    if (!(bytes > 0)) throw new Error('no process_resident_memory_bytes among the metrics');
    return bytes;
  }

  /** SIGTERM, and waits for the end. @returns the exit code */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    await this.#exited;
    return this.#child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.stop();
  }
}

function urlOf(address: unknown): string {
  const { host, port } = address as { host: string; port: number };
  return `http://${host}:${port}`;
}
