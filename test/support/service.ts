/** The ingest service over a test database and a temporary directory store, in this process. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type pg from 'pg';
import { systemClock } from '../../src/commands/system-clock.ts';
import { DeviceChain } from '../../src/device/device-chain.ts';
import { Ingest, type IngestBounds } from '../../src/ingest/ingest.ts';
import type { Ledger, PayloadStore } from '../../src/ingest/ports.ts';
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
import { silentObserver } from './silent-observer.ts';

export const silentRequests: RequestObserver = {
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
    observer: silentRequests,
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
