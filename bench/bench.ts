import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import pg from 'pg';
import { type Replica, startReplica } from '../dev/eds.ts';
import type { EmbeddedPostgres } from '../dev/embedded-postgres.ts';
import { freePort } from '../dev/ports.ts';
import { DeviceRegistry } from '../src/ledger/device-registry.ts';
import { migrate } from '../src/ledger/migrate.ts';
import { generateSigningKey } from '../src/record/signing-key.ts';
import type { Minio } from '../test/support/minio.ts';
import type { S3Target } from './baselines.ts';
import { cpuSeconds, residentBytes } from './cpu-time.ts';
import type { LoadPlan, LoadResult } from './load-plan.ts';
import type { Measurement } from './report.ts';
import type { Scenario } from './scenarios.ts';

export type BenchOptions = {
  readonly postgres: EmbeddedPostgres;
  readonly minio: Minio | undefined;
  readonly folder: string;
  readonly progress: (line: string) => void;
};

const bucket = 'bench';
/** A third of the measured run, before it: the just-in-time compilers of all replicas have then seen every path. */
const warmUpShare = 1 / 3;
/** How often resident memory is read during a run. */
const memoryIntervalMs = 250;

/** The servers that every scenario shares, and the measuring of one. */
export class Bench implements AsyncDisposable {
  readonly s3: S3Target | undefined;
  readonly #options: BenchOptions;
  readonly #pool: pg.Pool;
  readonly #registry: DeviceRegistry;
  readonly #key = generateSigningKey();
  #run = 0;

  private constructor(options: BenchOptions, pool: pg.Pool) {
    this.#options = options;
    this.#pool = pool;
    this.#registry = new DeviceRegistry(pool);
    this.s3 = options.minio && { ...options.minio.credentials, endpoint: options.minio.endpoint, bucket };
  }

  static async open(options: BenchOptions): Promise<Bench> {
    await migrate({ databaseUrl: options.postgres.url() });
    await options.minio?.makeBucket(bucket);
    return new Bench(options, new pg.Pool({ connectionString: options.postgres.url(), max: 4 }));
  }

  get databaseUrl(): string {
    return this.#options.postgres.url();
  }

  async registerDevice(id: string): Promise<string> {
    await this.#registry.register(id, { scheme: 'payload-v1', publicKey: this.#key.publicKey });
    return id;
  }

  async measure(scenario: Scenario, scale: number): Promise<Measurement> {
    await using replicas = await this.#startReplicas(scenario);
    const urls = replicas.all.map(({ url }) => url);
    await this.#load(scenario, urls, scale * warmUpShare);
    const pids = replicas.all.map(({ pid }) => pid ?? 0);
    const before = await this.#cpu(pids);
    const conflictsBefore = await conflicts(replicas.all);
    const memory = watchMemory(pids);
    const result = await this.#load(scenario, urls, scale);
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

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.end();
  }

  async #startReplicas({ store, layout, replicas }: Scenario): Promise<{ all: Replica[] } & AsyncDisposable> {
    const { folder } = this.#options;
    const settings = {
      DATABASE_URL: this.databaseUrl,
      EDS_PAYLOAD_LAYOUT: layout,
      ...(store === 'directory' ? { EDS_STORE_DIR: join(folder, `payloads-${layout}`) } : this.#s3Settings()),
    };
    const all: Replica[] = [];
    for (let number = 1; number <= replicas; number++) {
      const log = { file: join(folder, `replica-${number}.log`) };
      all.push(
        await startReplica({
          name: `replica ${number}`,
          port: await freePort(),
          opsPort: await freePort(),
          settings,
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

  #s3Settings(): Record<string, string> {
    if (this.s3 === undefined) throw new Error('an S3 scenario needs an S3 server');
    return {
      EDS_S3_BUCKET: bucket,
      EDS_S3_ENDPOINT: this.s3.endpoint,
      EDS_S3_FORCE_PATH_STYLE: 'true',
      AWS_ACCESS_KEY_ID: this.s3.accessKeyId,
      AWS_SECRET_ACCESS_KEY: this.s3.secretAccessKey,
      AWS_REGION: 'us-east-1',
    };
  }

  async #load({ load, records }: Scenario, urls: readonly string[], scale: number): Promise<LoadResult> {
    const perRequest = load.mode === 'batch' ? load.linesPerBatch : 1;
    const recordsPerConnection =
      perRequest * Math.max(1, Math.round((records * scale) / load.connections / perRequest));
    const devicePrefix = `bench-${++this.#run}`;
    for (let device = 0; device < load.connections * load.devicesPerConnection; device++)
      await this.registerDevice(`${devicePrefix}-${device}`);
    const plan: LoadPlan = {
      ...load,
      urls,
      recordsPerConnection,
      devicePrefix,
      privateKeyHex: this.#key.seed.toString('hex'),
    };
    const generator = fork(join(import.meta.dirname, 'load-generator.ts'), [JSON.stringify(plan)]);
    await message(generator);
    generator.send('go');
    const result = (await message(generator)) as LoadResult;
    if (generator.exitCode === null) await once(generator, 'exit');
    return result;
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

/** The generator's next message. Rejects when it ends before. */
async function message(generator: ChildProcess): Promise<unknown> {
  const ended = once(generator, 'exit').then(([code]) => {
    throw new Error(`the load generator ended with exit code ${code}`);
  });
  ended.catch(() => {});
  const [received] = await Promise.race([once(generator, 'message'), ended]);
  return received;
}

/** The largest resident memory of one replica. */
function watchMemory(pids: readonly number[]): { stop(): number } {
  let most = 0;
  const read = async () => {
    for (const pid of pids) most = Math.max(most, await residentBytes(pid));
  };
  const timer = setInterval(() => void read().catch(() => {}), memoryIntervalMs);
  return {
    stop() {
      clearInterval(timer);
      return most;
    },
  };
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
