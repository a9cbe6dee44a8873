import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { run } from '../../src/commands/program.ts';

export type CommandLineResult = { readonly exitCode: number; readonly stdout: string; readonly stderr: string };

export type CommandLineInput = {
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
};

/** Runs `eds` in this process, with an environment of nothing but `env`. */
export async function eds(args: readonly string[], input: CommandLineInput = {}): Promise<CommandLineResult> {
  const { stdin = '', env = {}, signal = new AbortController().signal } = input;
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const outputs = Promise.all([text(stdout), text(stderr)]);
  const exitCode = await run(args, { stdin: new PassThrough().end(stdin), stdout, stderr, env, signal });
  stdout.end();
  stderr.end();
  const [out, err] = await outputs;
  return { exitCode, stdout: out, stderr: err };
}
