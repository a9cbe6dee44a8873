/** PostgreSQL refuses to run as root. Where we are root, it runs as a system user that owns nothing but its folder. */
import type { SpawnOptions } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

export type Account = { readonly uid: number; readonly gid: number };

export type Command = { readonly file: string; readonly args: readonly string[]; readonly options: SpawnOptions };

/** Every Unix has the second; the first is there where PostgreSQL was ever installed. */
const systemUsers = ['postgres', 'nobody'];

/** Whom the database runs as: undefined means as ourselves. */
export async function databaseAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  for (const user of systemUsers) {
    const [, , uid, gid] = accounts.find(([name]) => name === user) ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error(`PostgreSQL does not run as root, and there is no user ${systemUsers.join(' or ')} to run it as`);
}

/**
 * The command that runs `argv` as `account`. On Linux it is told when we die, so that no server is left behind, and it may
 * pass folders that only root may enter (a checkout under /root) where one of `paths` leads through one: a copy of programs
 * and data elsewhere would be the only other way.
 */
export async function asAccount(
  account: Account | undefined,
  argv: readonly [string, ...string[]],
  paths: readonly string[],
): Promise<Command> {
  const [file, ...args] = argv;
  if (process.platform !== 'linux') return { file, args, options: account ?? {} };
  const identity = account === undefined ? [] : [`--reuid=${account.uid}`, `--regid=${account.gid}`, '--clear-groups'];
  const closed = account !== undefined && (await Promise.all(paths.map(isClosed))).includes(true);
  const passage = closed ? ['--inh-caps=+dac_override', '--ambient-caps=+dac_override'] : [];
  return { file: 'setpriv', args: ['--pdeathsig=INT', ...identity, ...passage, '--', ...argv], options: {} };
}

/** Whether a folder on the way to `path`, or the program it names, is closed to other users. */
async function isClosed(path: string): Promise<boolean> {
  for (let at = path; ; at = dirname(at)) {
    const { mode } = await stat(at);
    if ((mode & 0o001) === 0) return true;
    if (at === dirname(at)) return false;
  }
}
