/** `eds serve` and `eds serve-tls` as processes of their own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';

const mainFile = join(import.meta.dirname, '../../src/main.ts');
/** Node starts and strips types in under a second here, and answers in milliseconds; a loaded machine may need many times that. */
const deadlineMs = 30_000;

export type LogLine = Readonly<Record<string, unknown>> & { readonly message: string };

export type ServeProcessOptions = {
  /** Default: serve. */
  readonly command?: 'serve' | 'serve-tls';
  /** Win over the defaults: free ports of 127.0.0.1, and a payload store of its own. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
};

export class ServeProcess implements AsyncDisposable {
  readonly url: string;
  readonly opsUrl: string;
  readonly #child: ChildProcess;
  readonly #output: ProcessOutput;

  private constructor(child: ChildProcess, output: ProcessOutput, url: string, opsUrl: string) {
    this.#child = child;
    this.#output = output;
    this.url = url;
    this.opsUrl = opsUrl;
  }

  /** Resolves when it listens. @throws Error with what it wrote when it ends instead */
  static async start(
    t: TestContext,
    databaseUrl: string,
    { command = 'serve', args = [], env = {} }: ServeProcessOptions = {},
  ): Promise<ServeProcess> {
    const directory = await mkdtemp(join(tmpdir(), 'eds-serve-'));
    t.after(() => rm(directory, { recursive: true, force: true }));
    const flags = ['--addr=127.0.0.1:0', '--ops-addr=127.0.0.1:0', `--store-dir=${directory}`, ...args];
    const child = spawn(process.execPath, [mainFile, command, ...flags], {
      env: { PATH: process.env.PATH ?? '', DATABASE_URL: databaseUrl, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    t.after(() => child.kill('SIGKILL'));
    const output = new ProcessOutput(child);
    const { ingest, ops } = await output.find('listening', () =>
      output.log.find(({ message }) => message === 'listening'),
    );
    return new ServeProcess(child, output, urlOf(ingest, command === 'serve-tls' ? 'https' : 'http'), urlOf(ops));
  }

  /** What it has logged so far. */
  get log(): readonly LogLine[] {
    return this.#output.log;
  }

  /** Every line that it has written so far, to stdout and stderr. */
  get lines(): readonly string[] {
    return this.#output.lines;
  }

  /** Resolves when `count` of its lines, old or to come, contain `text`. @throws Error with them, when too late */
  async logged(text: string, count = 1): Promise<void> {
    const enough = () => this.lines.filter((line) => line.includes(text)).length >= count;
    await this.#output.find(`'${text}' ${count} times`, () => (enough() ? true : undefined));
  }

  /** @param series as its metrics have it, with its labels: `name{label="value"}` @throws Error when they have it not */
  async metric(series: string): Promise<number> {
    const text = await (await fetch(`${this.opsUrl}/metrics`)).text();
    const line = text.split('\n').find((line) => line.startsWith(`${series} `));
    if (line === undefined) throw new Error(`no ${series} among the metrics`);
    return Number(line.slice(series.length));
  }

  residentBytes(): Promise<number> {
    return this.metric('process_resident_memory_bytes');
  }

  /** Asks it to read its files again. */
  hangUp(): void {
    this.#child.kill('SIGHUP');
  }

  /** SIGTERM, and waits for the end. @returns the exit code */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    await this.#output.ended;
    return this.#child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.stop();
  }
}

class ProcessOutput {
  readonly log: LogLine[] = [];
  readonly lines: string[] = [];
  /** The process has ended, and all that it wrote has been read. */
  readonly ended: Promise<unknown>;
  readonly #signs = new EventEmitter();
  #hasEnded = false;

  constructor(child: ChildProcess) {
    const read = (output: ChildProcess['stdout'], take: (line: string) => void) => {
      if (!output) throw new TypeError('the output of the process is not piped');
      createInterface({ input: output }).on('line', (line) => {
        this.lines.push(line);
        take(line);
        this.#signs.emit('sign');
      });
    };
    read(child.stdout, (line) => this.log.push(JSON.parse(line)));
    read(child.stderr, () => {});
    this.ended = once(child, 'close').then(() => {
      this.#hasEnded = true;
      this.#signs.emit('sign');
    });
  }

  /** The first of what `look` finds, at once or at a line to come. @throws Error with the lines, when too late */
  async find<T>(what: string, look: () => T | undefined): Promise<T> {
    const late = AbortSignal.timeout(deadlineMs);
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (this.#hasEnded || late.aborted) throw new Error(`it never told ${what}:\n${this.lines.join('\n')}`);
      // It rejects for being late alone, which is looked at next.
      await once(this.#signs, 'sign', { signal: late }).catch(() => {});
    }
  }
}

function urlOf(address: unknown, protocol = 'http'): string {
  const { host, port } = address as { host: string; port: number };
  return `${protocol}://${host}:${port}`;
}
