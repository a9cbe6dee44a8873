import { join } from 'node:path';
import pg from 'pg';
import { ensureDatabase, withDatabase } from '../dev/database.ts';
import { type Environment, eds, type Outcome, type Replica, startReplica } from '../dev/eds.ts';
import type { EmbeddedPostgres } from '../dev/embedded-postgres.ts';
import { freePort } from '../dev/ports.ts';
import { DeviceRegistry } from '../src/ledger/device-registry.ts';
import { migrate } from '../src/ledger/migrate.ts';
import { generateSigningKey } from '../src/record/signing-key.ts';
import type { Minio } from '../test/support/minio.ts';
import type { S3Target } from './baselines.ts';
import { cpuSeconds } from './cpu-time.ts';
import { GeneratorProcess } from './generator-process.ts';
import type { LoadPlan, LoadResult } from './load-plan.ts';
import type { Measurement } from './report.ts';
import { watchMemory } from './resident-memory.ts';
import type { Scenario } from './scenarios.ts';

export type BenchOptions = {
  readonly postgres: EmbeddedPostgres;
  readonly minio: Minio | undefined;
  readonly folder: string;
  /** Of the database and of the bucket; made if missing. What shares them can be audited together. */
  readonly name: string;
};

export type Replicas = AsyncDisposable & { readonly all: readonly Replica[] };

/** A third of the measured run, before it: the just-in-time compilers of all replicas have then seen every path. */
export const warmUpShare = 1 / 3;

/** The servers that every scenario shares, and the measuring of one. */
export class Bench implements AsyncDisposable {
  readonly s3: S3Target | undefined;
  readonly databaseUrl: string;
  readonly pool: pg.Pool;
  readonly #options: BenchOptions;
  readonly #registry: DeviceRegistry;
  readonly #key = generateSigningKey();
  #run = 0;

  private constructor(options: BenchOptions, databaseUrl: string) {
    const { minio, name: bucket } = options;
    this.#options = options;
    this.databaseUrl = databaseUrl;
    this.pool = new pg.Pool({ connectionString: databaseUrl, max: 4 });
    this.#registry = new DeviceRegistry(this.pool);
    this.s3 = minio && { ...minio.credentials, endpoint: minio.endpoint, bucket };
  }

  static async open(options: BenchOptions): Promise<Bench> {
    const { postgres, minio, name } = options;
    await ensureDatabase(postgres.url(), name);
    const databaseUrl = withDatabase(postgres.url(), name);
    await migrate({ databaseUrl });
    await minio?.makeBucket(name);
    return new Bench(options, databaseUrl);
  }

  /** Of every device that is registered here: signing is not what is measured. */
  get privateKeyHex(): string {
    return this.#key.seed.toString('hex');
  }

  /** Devices `<prefix>-<n>`, n from 0. @returns the prefix, which nobody had before */
  async registerDevices(count: number): Promise<string> {
    const prefix = `bench-${++this.#run}`;
    const key = { scheme: 'payload-v1', publicKey: this.#key.publicKey } as const;
    await Promise.all(Array.from({ length: count }, (_, n) => this.#registry.register(`${prefix}-${n}`, key)));
    return prefix;
  }

  async measure(scenario: Scenario, scale: number): Promise<Measurement> {
    await using replicas = await this.startReplicas(scenario);
    const urls = replicas.all.map(({ url }) => url);
    await this.load(scenario, urls, scale * warmUpShare);
    const pids = replicas.all.map(({ pid }) => pid ?? 0);
    const before = await this.#cpu(pids);
    const conflictsBefore = await conflicts(replicas.all);
    const memory = watchMemory(pids);
    const result = await this.load(scenario, urls, scale);
    const serviceMiB = memory.stop() / 2 ** 20;
    const after = await this.#cpu(pids);
    const perRecord = (seconds: number) => (seconds * 1e6) / result.records;
    return {
      name: scenario.name,
      recordsPerSecond: result.records / result.seconds,
      p50Ms: result.latencyMs.p50,
      p99Ms: result.latencyMs.p99,
      cpu: {
        service: perRecord(after.service - before.service),
        postgres: perRecord(after.postgres - before.postgres),
        store: perRecord(after.store - before.store),
        load: perRecord(result.cpuSeconds),
      },
      serviceMiB,
      conflictPercent: (100 * ((await conflicts(replicas.all)) - conflictsBefore)) / result.records,
      refused: result.refused,
    };
  }

  /** @param settings environment variables on top of the scenario's */
  async startReplicas(scenario: Scenario, settings: Environment = {}): Promise<Replicas> {
    const { folder } = this.#options;
    const all: Replica[] = [];
    for (let number = 1; number <= scenario.replicas; number++) {
      const log = { file: join(folder, `replica-${number}.log`) };
      all.push(
        await startReplica({
          name: `replica ${number}`,
          port: await freePort(),
          opsPort: await freePort(),
          settings: { ...this.#storeSettings(scenario), ...settings },
          log,
        }),
      );
    }
    return {
      all,
      async [Symbol.asyncDispose]() {
        for (const replica of all) await replica.stop();
      },
    };
  }

  /** Each connection sends its next request when the last one is answered. */
  async load({ load, records }: Scenario, urls: readonly string[], scale: number): Promise<LoadResult> {
    const perRequest = load.mode === 'batch' ? load.linesPerBatch : 1;
    const recordsPerConnection =
      perRequest * Math.max(1, Math.round((records * scale) / load.connections / perRequest));
    const devicePrefix = await this.registerDevices(load.connections * load.devicesPerConnection);
    const plan: LoadPlan = { ...load, urls, recordsPerConnection, devicePrefix, privateKeyHex: this.privateKeyHex };
    await using generator = await GeneratorProcess.start<LoadResult>('load-generator.ts', plan);
    return await generator.run();
  }

  /** Of what replicas of this scenario have made durable, as `eds audit --json` tells. */
  audit(scenario: Scenario): Promise<Outcome> {
    return eds(['audit', '--json'], this.#storeSettings(scenario));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool.end();
  }

  #storeSettings({ store, layout }: Scenario): Environment {
    const ledger = { DATABASE_URL: this.databaseUrl, EDS_PAYLOAD_LAYOUT: layout };
    if (store === 'directory') return { ...ledger, EDS_STORE_DIR: join(this.#options.folder, `payloads-${layout}`) };
    if (this.s3 === undefined) throw new Error('an S3 scenario needs an S3 server');
    return {
      ...ledger,
      EDS_S3_BUCKET: this.s3.bucket,
      EDS_S3_ENDPOINT: this.s3.endpoint,
      EDS_S3_FORCE_PATH_STYLE: 'true',
      AWS_ACCESS_KEY_ID: this.s3.accessKeyId,
      AWS_SECRET_ACCESS_KEY: this.s3.secretAccessKey,
      AWS_REGION: 'us-east-1',
    };
  }

  async #cpu(pids: readonly number[]): Promise<{ service: number; postgres: number; store: number }> {
    const { postgres, minio } = this.#options;
    const service = await Promise.all(pids.map(cpuSeconds));
    return {
      service: service.reduce((sum, seconds) => sum + seconds, 0),
      postgres: await cpuSeconds(postgres.pid ?? 0),
      store: minio?.pid ? await cpuSeconds(minio.pid) : 0,
    };
  }
}

async function conflicts(replicas: readonly Replica[]): Promise<number> {
  const counts = await Promise.all(
    replicas.map(async ({ opsUrl }) => {
      const text = await (await fetch(`${opsUrl}/metrics`)).text();
      return Number(/^edgesentry_fence_conflict_total (\S+)/m.exec(text)?.[1] ?? Number.NaN);
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}
