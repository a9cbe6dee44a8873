import type { Environment, Replica } from '../dev/eds.ts';
import { type Bench, warmUpShare } from './bench.ts';
import { GeneratorProcess } from './generator-process.ts';
import type { PacedPlan, PacedResult } from './paced-plan.ts';
import { watchMemory } from './resident-memory.ts';
import type { Scenario } from './scenarios.ts';

/** A load whose devices are registered for it. `privateKeyHex` is then theirs, unless another is given. */
export type PacedLoad = Pick<PacedPlan, 'from' | 'connections' | 'devices' | 'perSecond' | 'seconds'> &
  Partial<Pick<PacedPlan, 'privateKeyHex'>>;

/** Of the Helm chart's pods. */
export const memoryLimitMiB = 512;
/** All sources are on this machine. Half of the memory limit is for Node's heap, as in the Helm chart. */
const replicaSettings: Environment = {
  EDS_ALLOWED_SOURCES: '127.0.0.0/8',
  NODE_OPTIONS: `--max-old-space-size=${memoryLimitMiB / 2}`,
};
/** Connections and seconds of a run that only shows that it works. */
const leastConnections = 64;
const leastSeconds = 1;

/** One replica, what it carries, and the loads that are put on it. */
export class OverloadRun implements AsyncDisposable {
  /** Records a second of the scenario's own load, just before. */
  readonly capacity: number;
  readonly #bench: Bench;
  readonly #scenario: Scenario;
  readonly #replica: Replica;
  readonly #scale: number;

  private constructor(bench: Bench, scenario: Scenario, replica: Replica, scale: number, capacity: number) {
    this.#bench = bench;
    this.#scenario = scenario;
    this.#replica = replica;
    this.#scale = scale;
    this.capacity = capacity;
  }

  static async open(bench: Bench, scenario: Scenario, settings: Environment, scale: number): Promise<OverloadRun> {
    const [replica] = (await bench.startReplicas(scenario, { ...replicaSettings, ...settings })).all;
    if (replica === undefined) throw new Error('the scenario has no replica');
    await bench.load(scenario, [replica.url], scale * warmUpShare);
    const { records, seconds } = await bench.load(scenario, [replica.url], scale);
    return new OverloadRun(bench, scenario, replica, scale, records / seconds);
  }

  seconds(full: number): number {
    return Math.max(leastSeconds, full * this.#scale);
  }

  connections(full: number): number {
    return Math.max(leastConnections, Math.round(full * Math.min(1, this.#scale)));
  }

  async send(load: PacedLoad): Promise<PacedResult> {
    await using generator = await this.#prepare(load);
    return await generator.run();
  }

  /** From two generators that begin together. */
  async sendBoth(first: PacedLoad, second: PacedLoad): Promise<[PacedResult, PacedResult]> {
    await using one = await this.#prepare(first);
    await using other = await this.#prepare(second);
    return await Promise.all([one.run(), other.run()]);
  }

  /** Of the replica. */
  watchMemory(): { stop(): number } {
    return watchMemory([this.#replica.pid ?? 0]);
  }

  /** Rows of the operation log for refusals, and how many refusals they stand for. */
  async refusals(): Promise<{ rows: number; count: number }> {
    const { rows } = await this.#bench.pool.query<{ rows: number; count: number }>(
      `SELECT count(*)::int AS rows, coalesce(sum(count), 0)::int AS count FROM operation_logs WHERE decision = 'Rejected'`,
    );
    return rows[0] ?? { rows: 0, count: 0 };
  }

  /** Devices whose last acknowledged record is not in the ledger. What is before it, the audit proves by its links. */
  async lost(results: readonly PacedResult[]): Promise<number> {
    const heads = results.flatMap((result) => result.heads);
    const { rows } = await this.#bench.pool.query<{ lost: number }>(
      `SELECT count(*)::int AS lost
       FROM unnest($1::text[], $2::bigint[], $3::text[]) AS said (device_id, sequence, record_hash)
       WHERE NOT EXISTS (SELECT FROM audit_records AS held
                         WHERE held.device_id = said.device_id AND held.sequence = said.sequence
                           AND held.record_hash = decode(said.record_hash, 'hex'))`,
      [
        heads.map(({ deviceId }) => deviceId),
        heads.map(({ sequence }) => sequence),
        heads.map((head) => head.recordHash),
      ],
    );
    return rows[0]?.lost ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#replica.stop();
  }

  /** Connected, and ready to send. */
  async #prepare(load: PacedLoad): Promise<GeneratorProcess<PacedResult>> {
    const devicePrefix = await this.#bench.registerDevices(load.devices);
    const { privateKeyHex } = this.#bench;
    const { payloadBytes } = this.#scenario.load;
    const plan: PacedPlan = { url: this.#replica.url, devicePrefix, payloadBytes, privateKeyHex, ...load };
    return GeneratorProcess.start<PacedResult>('paced-generator.ts', plan);
  }
}
