/** The `eds` command as a user would run it: what the development servers do, anybody can do by hand. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

const main = join(import.meta.dirname, '../src/main.ts');
/** As in the first line of src/main.ts: a young generation that does not grow by what passes through it. */
const nodeFlags = ['--max-semi-space-size=4'];
/**
 * Of glibc's allocator: what is freed goes back to the system instead of staying in an arena a thread, and buffers the size
 * of a request's body never get there. See docs/operations.md, Memory.
 */
const memorySettings = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: '131072',
  MALLOC_TRIM_THRESHOLD_: '262144',
};

/** Loading the program takes half a second of CPU, and three replicas may share one slow core. */
const readyDeadlineMs = 30_000;
/** Past the service's own deadline for draining. */
const stopDeadlineMs = 60_000;
const pollMs = 50;
const logTailLines = 15;

export type Environment = Readonly<Record<string, string>>;

/** What a command printed, and its exit code. */
export type Outcome = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** @param settings environment variables on top of our own */
export async function eds(args: readonly string[], settings: Environment): Promise<Outcome> {
  const child = spawn(process.execPath, [...nodeFlags, main, ...args], {
    env: { ...process.env, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [[code], stdout, stderr] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)]);
  return { code, stdout, stderr };
}

/** @throws Error with what the command wrote, when it fails */
export async function edsOrFail(args: readonly string[], settings: Environment): Promise<Outcome> {
  const outcome = await eds(args, settings);
  if (outcome.code === 0) return outcome;
  throw new Error(`eds ${args[0]} ended with exit code ${outcome.code}:\n${outcome.stderr}`);
}

export type ReplicaOptions = {
  readonly name: string;
  /** On 127.0.0.1. */
  readonly port: number;
  readonly opsPort: number;
  readonly settings: Environment;
  /** Where its log goes: to a file, or to our own output. */
  readonly log: { readonly file: string } | 'inherit';
};

/** One `eds serve`, ready for records. */
export class Replica implements AsyncDisposable {
  readonly name: string;
  readonly url: string;
  readonly opsUrl: string;
  /** Its exit code or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>;
  readonly #process: ChildProcess;

  constructor({ name, port, opsPort }: ReplicaOptions, process: ChildProcess) {
    this.name = name;
    this.url = `http://127.0.0.1:${port}`;
    this.opsUrl = `http://127.0.0.1:${opsPort}`;
    this.#process = process;
    this.exited = once(process, 'exit').then(([code, signal]) => code ?? signal);
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Drains and ends it; does nothing when it has ended. @returns as `exited` */
  async stop(): Promise<number | NodeJS.Signals> {
    const force = setTimeout(() => this.#process.kill('SIGKILL'), stopDeadlineMs);
    this.#process.kill('SIGTERM');
    try {
      return await this.exited;
    } finally {
      clearTimeout(force);
    }
  }

  /** As a crash. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** @throws Error when it ends or does not get ready, with the end of its log file */
export async function startReplica(options: ReplicaOptions, signal?: AbortSignal): Promise<Replica> {
  const log = options.log === 'inherit' ? undefined : openSync(options.log.file, 'a');
  const addresses = ['--addr', `127.0.0.1:${options.port}`, '--ops-addr', `127.0.0.1:${options.opsPort}`];
  const child = spawn(process.execPath, [...nodeFlags, main, 'serve', ...addresses], {
    env: { ...process.env, ...memorySettings, ...options.settings },
    // A Ctrl-C in the terminal is for our process, which then stops the replica in its turn.
    detached: true,
    stdio: ['ignore', log ?? 'inherit', log ?? 'inherit'],
  });
  if (log !== undefined) closeSync(log);
  const replica = new Replica(options, child);
  try {
    await waitUntilReady(replica, child, signal);
    return replica;
  } catch (error) {
    await replica.kill();
    const tail =
      options.log === 'inherit' ? '' : `. The end of ${options.log.file}:\n${await logTail(options.log.file)}`;
    throw new Error(`${options.name} ${(error as Error).message}${tail}`, { cause: error });
  }
}

async function waitUntilReady(replica: Replica, child: ChildProcess, signal?: AbortSignal): Promise<void> {
  const giveUpAt = Date.now() + readyDeadlineMs;
  while (!(await isReady(replica))) {
    if (child.exitCode !== null) throw new Error(`ended with exit code ${child.exitCode} before it was ready`);
    if (Date.now() > giveUpAt) throw new Error(`was not ready after ${readyDeadlineMs / 1000} seconds`);
    await sleep(pollMs, undefined, { signal });
  }
}

async function isReady(replica: Replica): Promise<boolean> {
  try {
    return (await fetch(`${replica.opsUrl}/readyz`, { signal: AbortSignal.timeout(readyDeadlineMs) })).ok;
  } catch {
    return false; // Not listening yet.
  }
}

async function logTail(file: string): Promise<string> {
  return (await readFile(file, 'utf8')).split('\n').slice(-logTailLines).join('\n');
}
