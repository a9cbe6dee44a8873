import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

export type CommandOptions = {
  readonly stdin?: string;
  /** Then the program is killed. */
  readonly deadlineMs?: number;
};

const defaultDeadlineMs = 60_000;
const checkout = join(import.meta.dirname, '../../..');

/** What the program, run in the checkout, wrote to its output. @throws Error with what it complained of, when it fails */
export async function runCommand(
  program: string,
  args: readonly string[],
  { stdin = '', deadlineMs = defaultDeadlineMs }: CommandOptions = {},
): Promise<string> {
  const child = spawn(program, args, { cwd: checkout, timeout: deadlineMs, killSignal: 'SIGKILL' });
  child.stdin.end(stdin);
  const [[code], stdout, stderr] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)]);
  if (code === 0) return stdout;
  const end = code === null ? `was killed after ${deadlineMs / 1000} s` : `ended with exit code ${code}`;
  throw new Error(`${program} ${args.join(' ')} ${end}:\n${stderr}${stdout}`);
}
