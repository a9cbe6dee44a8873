/** The image in containers held as tightly as a pod under Pod Security *restricted*, with the host's network. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import type { CommandLineResult } from '../support/command-line.ts';
import type { LogLine } from '../support/serve-process.ts';

/** Builds and starts take seconds here; a loaded machine may need many times that. Past it the test fails, it does not hang. */
const commandDeadlineMs = 300_000;
const logLineDeadlineMs = 60_000;
/** What docker prints of an image, its list of files above all: about 400 kB. */
const outputBytesMax = 16 * 1024 * 1024;

const restricted = [
  '--read-only',
  '--tmpfs=/tmp',
  '--cap-drop=ALL',
  '--security-opt=no-new-privileges',
  '--user=65532:65532',
  '--network=host',
];

/** @throws Error with what docker says, when it fails */
export async function docker(...args: readonly string[]): Promise<string> {
  const options = { timeout: commandDeadlineMs, maxBuffer: outputBytesMax };
  return (await promisify(execFile)('docker', args, options)).stdout;
}

export type ImageFile = { readonly path: string; readonly mode: string; readonly owner: string };

/** Everything in a container's file system. @param container one that need not run */
export async function filesOf(container: string): Promise<ImageFile[]> {
  const exported = spawn('docker', ['export', container], { stdio: ['ignore', 'pipe', 'inherit'] });
  const tar = spawn('tar', ['--list', '--verbose', '--numeric-owner'], { stdio: [exported.stdout, 'pipe', 'inherit'] });
  const [listing, [exportCode], [tarCode]] = await Promise.all([
    text(tar.stdout),
    once(exported, 'exit'),
    once(tar, 'exit'),
  ]);
  if (exportCode !== 0 || tarCode !== 0) throw new Error(`docker export: ${exportCode}, tar: ${tarCode}`);
  return listing
    .trimEnd()
    .split('\n')
    .map((line) => {
      // mode owner/group size date time path[ -> target]
      const [mode = '', owner = '', , , , ...path] = line.split(/ +/);
      return { mode, owner, path: path.join(' ').replace(/ (->|link to) .*/, '') };
    });
}

/** Runs one container to its end. @param flags of `docker run` */
export function runContainer(
  image: string,
  args: readonly string[],
  { flags = [], env = {} }: { flags?: readonly string[]; env?: Readonly<Record<string, string>> } = {},
): Promise<CommandLineResult> {
  const command = ['run', '--rm', ...restricted, ...namesOf(env), ...flags, image, ...args];
  const options = { timeout: commandDeadlineMs, env: { ...process.env, ...env } };
  return new Promise((resolve, reject) => {
    execFile('docker', command, options, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : error.code;
      if (typeof exitCode === 'number') resolve({ exitCode, stdout, stderr });
      else reject(error);
    });
  });
}

/** By name alone: values on a command line can be read by every user of the machine. */
const namesOf = (env: Readonly<Record<string, string>>) => Object.keys(env).map((name) => `--env=${name}`);

/** `eds serve` in a container, with a payload store in its memory, on free ports of the host. */
export class ServeContainer {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #log: LogLine[] = [];
  readonly #lines = new EventEmitter();
  #complaints = '';

  constructor(t: TestContext, image: string, args: readonly string[], env: Readonly<Record<string, string>>) {
    this.name = `edgesentry-image-test-${process.pid}`;
    const store = ['--tmpfs=/payloads:mode=0700,uid=65532'];
    const flags = ['--addr=127.0.0.1:0', '--ops-addr=127.0.0.1:0', '--store-dir=/payloads', ...args];
    this.#child = spawn(
      'docker',
      ['run', '--rm', '--name', this.name, ...restricted, ...store, ...namesOf(env), image, 'serve', ...flags],
      { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#exited = once(this.#child, 'exit');
    // The client that is killed leaves its container behind.
    t.after(async () => {
      if (this.#child.exitCode === null) await docker('rm', '--force', this.name);
    });
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#complaints += chunk.toString();
    });
    if (this.#child.stdout === null) throw new TypeError('the container has no standard output');
    createInterface({ input: this.#child.stdout }).on('line', (text) => {
      this.#log.push(JSON.parse(text) as LogLine);
      this.#lines.emit('line');
    });
  }

  /** The first line of the log with this message, once it is there. */
  async logged(message: string): Promise<LogLine> {
    const late = AbortSignal.timeout(logLineDeadlineMs);
    for (;;) {
      const found = this.#log.find((line) => line.message === message);
      if (found !== undefined) return found;
      const ended = this.#exited.then(() => true);
      const next = once(this.#lines, 'line', { signal: late }).then(() => false);
      if (await Promise.race([next, ended]))
        throw new Error(`ended before "${message}": ${this.#complaints}${JSON.stringify(this.#log)}`);
    }
  }

  /** SIGTERM, and SIGKILL after so many seconds, as a kubelet does it. @returns the exit code */
  async stop(graceSeconds: number): Promise<number | null> {
    await docker('stop', '-t', String(graceSeconds), this.name);
    await this.#exited;
    return this.#child.exitCode;
  }
}
