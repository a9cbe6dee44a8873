/** `eds` services as processes of their own, to be killed and started again on the same port. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import type { RelayStatus } from '../../src/relay/relay-status.ts';

const mainFile = join(import.meta.dirname, '../../src/main.ts');
/** Node starts in about a second here; a loaded machine may need many times that. */
const startDeadlineMs = 60_000;

export class EdsProcess {
  readonly url: string;
  readonly #opsUrl: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  private constructor(child: ChildProcess, exited: Promise<unknown>, listening: Record<'ingest' | 'ops', Bound>) {
    this.#child = child;
    this.#exited = exited;
    this.url = urlOf(listening.ingest);
    this.#opsUrl = urlOf(listening.ops);
  }

  /** Resolves once it listens. @throws Error with the process's last words when it ends instead */
  static async start(t: TestContext, args: readonly string[]): Promise<EdsProcess> {
    const child = spawn(process.execPath, [mainFile, ...args, '--ops-addr=127.0.0.1:0'], {
      env: { PATH: process.env.PATH ?? '' },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 10 * startDeadlineMs,
    });
    t.after(() => child.kill('SIGKILL'));
    const exited = once(child, 'exit');
    const said: string[] = [];
    child.stderr.on('data', (chunk: Buffer) => said.push(chunk.toString()));
    const listening = Promise.withResolvers<Record<'ingest' | 'ops', Bound>>();
    createInterface({ input: child.stdout }).on('line', (text) => {
      said.push(text);
      const line = JSON.parse(text);
      if (line.message === 'listening') listening.resolve(line);
    });
    const failed = (how: string) => new Error(`eds ${args[0]} ${how}: ${said.slice(-20).join('\n')}`);
    exited.then(() => listening.reject(failed('ended at once')));
    const timer = setTimeout(() => listening.reject(failed('does not listen')), startDeadlineMs);
    const bound = await listening.promise.finally(() => clearTimeout(timer));
    return new EdsProcess(child, exited, bound);
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  /** SIGTERM. @returns the exit code */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    await this.#exited;
    return this.#child.exitCode;
  }

  async relayStatus(): Promise<RelayStatus> {
    const response = await fetch(`${this.#opsUrl}/relay/status`);
    return (await response.json()) as RelayStatus;
  }

  /** The value of a metric without labels. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.#opsUrl}/metrics`)).text();
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
  }
}

type Bound = { readonly host: string; readonly port: number };
const urlOf = ({ host, port }: Bound) => `http://${host}:${port}`;
