import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, on, once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';

const mainFile = join(import.meta.dirname, '../../src/main.ts');
/** Node starts in under a second here, and answers in milliseconds; a loaded machine may need many times that. */
const deadlineMs = 30_000;

export type ServeTlsOptions = {
  readonly databaseUrl: string;
  readonly storeDirectory: string;
  /** Of 127.0.0.1. */
  readonly port: number;
  readonly opsPort: number;
  readonly certFile: string;
  readonly keyFile: string;
};

/** `eds serve-tls` as a process of its own. */
export class ServeTlsProcess {
  readonly url: string;
  readonly opsUrl: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #log: string[] = [];
  readonly #lines = new EventEmitter();

  private constructor(child: ChildProcess, { port, opsPort }: ServeTlsOptions) {
    this.#child = child;
    this.url = `https://127.0.0.1:${port}`;
    this.opsUrl = `http://127.0.0.1:${opsPort}`;
    this.#exited = once(child, 'exit').then(() => this.#lines.emit('line', 'the process has ended'));
    for (const output of [child.stdout, child.stderr]) {
      if (output) createInterface({ input: output }).on('line', (line) => this.#note(line));
    }
  }

  /** Resolves when it listens. @throws Error with what it wrote when it does not */
  static async start(t: TestContext, options: ServeTlsOptions): Promise<ServeTlsProcess> {
    const flags = {
      addr: `127.0.0.1:${options.port}`,
      'ops-addr': `127.0.0.1:${options.opsPort}`,
      'store-dir': options.storeDirectory,
      'tls-cert': options.certFile,
      'tls-key': options.keyFile,
    };
    const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    const child = spawn(process.execPath, [mainFile, 'serve-tls', ...args], {
      env: { PATH: process.env.PATH ?? '', DATABASE_URL: options.databaseUrl },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    t.after(() => child.kill('SIGKILL'));
    const started = new ServeTlsProcess(child, options);
    await started.logged('"listening"');
    return started;
  }

  /** Resolves when `count` lines of its log, old or to come, contain `text`. @throws Error with the log, when too late */
  async logged(text: string, count = 1): Promise<void> {
    const found = () => this.#log.filter((line) => line.includes(text)).length >= count;
    const late = AbortSignal.timeout(deadlineMs);
    try {
      if (found()) return;
      for await (const _line of on(this.#lines, 'line', { signal: late })) {
        if (found()) return;
        if (this.#child.exitCode !== null) break;
      }
    } catch (error) {
      if (!late.aborted) throw error;
    }
    throw new Error(`its log never told '${text}' ${count} times:\n${this.#log.join('\n')}`);
  }

  /** Asks it to read its files again. */
  hangUp(): void {
    this.#child.kill('SIGHUP');
  }

  /** SIGTERM, and waits for the end. @returns the exit code */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    await this.#exited;
    return this.#child.exitCode;
  }

  #note(line: string): void {
    this.#log.push(line);
    this.#lines.emit('line', line);
  }
}
