import { randomBytes } from 'node:crypto';
import { runCommand } from './command.ts';

export type Metadata = {
  readonly name: string;
  readonly uid: string;
  readonly generation?: number;
  readonly deletionTimestamp?: string;
};

/** An object as the API server has it, as far as everything has the same. */
export type KubernetesObject = { readonly kind: string; readonly metadata: Metadata };

export type Manifest = { readonly apiVersion: string; readonly kind: string; readonly [field: string]: unknown };

/** Three databases shut down, and volumes go. */
const deletionDeadlineMs = 180_000;
const owners = 'databaseroles.postgresql.cnpg.io,clusters.postgresql.cnpg.io,deployments,statefulsets,cronjobs,jobs';

/** A namespace of the run's own, in which every pod must satisfy the Pod Security level *restricted*. */
export class Namespace implements AsyncDisposable {
  readonly name: string;

  private constructor(name: string) {
    this.name = name;
  }

  static async create(): Promise<Namespace> {
    const name = `eds-ladder-${randomBytes(3).toString('hex')}`;
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    const manifest = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
    await runCommand('kubectl', ['create', '--filename=-'], { stdin: JSON.stringify(manifest) });
    return new Namespace(name);
  }

  /** @returns what kubectl wrote */
  kubectl(...args: readonly string[]): Promise<string> {
    return runCommand('kubectl', [`--namespace=${this.name}`, ...args]);
  }

  /** @param kinds with commas; @param selector of labels */
  async list<T extends KubernetesObject>(kinds: string, selector = ''): Promise<readonly T[]> {
    const { items }: { items: T[] } = JSON.parse(
      await this.kubectl('get', kinds, `--selector=${selector}`, '--output=json'),
    );
    return items;
  }

  async get<T extends KubernetesObject>(kind: string, name: string): Promise<T> {
    const object: T = JSON.parse(await this.kubectl('get', kind, name, '--output=json'));
    return object;
  }

  async apply(manifest: Manifest): Promise<void> {
    const args = [`--namespace=${this.name}`, 'apply', '--filename=-'];
    await runCommand('kubectl', args, { stdin: JSON.stringify(manifest) });
  }

  /**
   * What owns pods goes first: PostgreSQL's may take half an hour to end, and a namespace whose pods may take that long
   * is looked at again only after half of it.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    const options = { deadlineMs: deletionDeadlineMs };
    await runCommand(
      'kubectl',
      ['delete', owners, '--all', '--cascade=foreground', `--namespace=${this.name}`],
      options,
    );
    await runCommand('kubectl', ['delete', 'namespace', this.name], options);
  }
}
