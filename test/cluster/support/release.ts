import { type CommandOptions, runCommand } from './command.ts';
import type { Namespace } from './namespace.ts';
import { watched } from './progress.ts';

export type Values = { readonly [name: string]: unknown };

const chart = 'charts/edgesentry';
/** Three databases, one after the other, on a machine that others use as well. */
const timeout = '10m';
/** Helm's own comes first. */
const deadlineMs = 11 * 60_000;
const untilReady = ['--wait', '--wait-for-jobs', `--timeout=${timeout}`];

/** The release `edgesentry`: object names are its name, and its name alone. */
export class Release {
  readonly name = 'edgesentry';
  readonly #namespace: Namespace;

  constructor(namespace: Namespace) {
    this.#namespace = namespace;
  }

  /** Until everything is ready. */
  async install(values: Values): Promise<void> {
    await this.#helm(['install', this.name, chart, '--values=-', ...untilReady], { stdin: JSON.stringify(values) });
  }

  /** As the README says it: nothing is waited for. */
  async upgradeOrInstall(values: Values): Promise<void> {
    await this.#helm(['upgrade', '--install', this.name, chart, '--values=-'], { stdin: JSON.stringify(values) });
  }

  /** Until everything is ready. */
  async upgrade(values: Values): Promise<void> {
    await this.#helm(['upgrade', this.name, chart, '--values=-', ...untilReady], { stdin: JSON.stringify(values) });
  }

  async uninstall(): Promise<void> {
    await this.#helm(['uninstall', this.name, '--wait', `--timeout=${timeout}`]);
  }

  #helm(args: readonly string[], options: CommandOptions = {}): Promise<string> {
    const all = [`--namespace=${this.#namespace.name}`, ...args];
    return watched(`helm ${args[0]}`, () => runCommand('helm', all, { deadlineMs, ...options }));
  }
}
