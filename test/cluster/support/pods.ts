import assert from 'node:assert/strict';
import type { KubernetesObject, Namespace } from './namespace.ts';
import { until } from './progress.ts';

type Container = { readonly name: string; readonly restartCount: number };
export type Pod = KubernetesObject & {
  readonly status: {
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: 'True' | 'False' | 'Unknown' }[];
    readonly containerStatuses?: readonly Container[];
  };
};

const opsPort = 9464;

export const isReady = ({ metadata, status }: Pod): boolean =>
  metadata.deletionTimestamp === undefined &&
  status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;

export const restartsOf = ({ status }: Pod): number =>
  (status.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0);

/** The replicas that take records. */
export class Servers {
  readonly #namespace: Namespace;
  readonly count = 3;

  constructor(namespace: Namespace) {
    this.#namespace = namespace;
  }

  list(): Promise<readonly Pod[]> {
    return this.#namespace.list<Pod>('pods', 'app.kubernetes.io/component=server');
  }

  /** All of them, once they are, and none that is on its way out. */
  untilReady(): Promise<readonly Pod[]> {
    return until(`${this.count} ready replicas and no other`, async () => {
      const pods = await this.list();
      return pods.length === this.count && pods.every(isReady) ? pods : undefined;
    });
  }

  async untilNoneIsReady(): Promise<void> {
    await until('readiness of every replica turns', async () => !(await this.list()).some(isReady) || undefined);
  }

  /** The very pods of before, and none of their containers was started again. */
  async assertSame(before: readonly Pod[]): Promise<void> {
    const identities = (pods: readonly Pod[]) => pods.map((pod) => `${pod.metadata.uid} restarts ${restartsOf(pod)}`);
    assert.deepEqual(identities(await this.list()).sort(), identities(before).sort());
  }

  /** By way of the API server. @param series as Prometheus' text format has it, labels included */
  async metric(pod: Pod, series: string): Promise<number> {
    const proxy = `/api/v1/namespaces/${this.#namespace.name}/pods/${pod.metadata.name}:${opsPort}/proxy/metrics`;
    const text = await this.#namespace.kubectl('get', '--raw', proxy);
    const line = text.split('\n').find((line) => line.startsWith(`${series} `));
    assert.ok(line, `${pod.metadata.name} has no ${series}`);
    return Number(line.slice(series.length));
  }
}
