import { type Command, CommanderError } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { audit } from './audit.ts';
import { bucket } from './bucket.ts';
import { type CommandFactory, command, Failure, type Io, UsageError } from './command.ts';
import { demoLiftInspection } from './demo-lift-inspection.ts';
import { device } from './device.ts';
import { inspectKey } from './inspect-key.ts';
import { keygen } from './keygen.ts';
import { migrate } from './migrate.ts';
import { payload } from './payload.ts';
import { relay } from './relay.ts';
import { send } from './send.ts';
import { serve } from './serve.ts';
import { serveTls } from './serve-tls.ts';
import { signRecord } from './sign-record.ts';
import { verifyChain } from './verify-chain.ts';
import { verifyRecord } from './verify-record.ts';

/** In the order of `eds --help`. */
const commands: readonly CommandFactory[] = [
  serve,
  serveTls,
  relay,
  migrate,
  bucket,
  device,
  send,
  audit,
  payload,
  keygen,
  inspectKey,
  signRecord,
  verifyRecord,
  verifyChain,
  demoLiftInspection,
];

export const exitCodes = { success: 0, failure: 1, usage: 2 } as const;

/** Runs one command line to its exit code. Nothing is thrown: every error ends as one line on stderr. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const program = command(io, 'eds', 'EdgeSentry: signed, hash-chained audit records of field devices').version(
    packageJson.version,
  );
  for (const make of commands) program.addCommand(make(io));
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCodes.success;
  } catch (error) {
    return report(error, fullName(program, args), io);
  }
}

function report(error: unknown, name: string, io: Io): number {
  // --help and --version, and the help that stands in for a missing command, are thrown too and have been printed.
  if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.success;
  if (error instanceof CommanderError && error.code === 'commander.help') return exitCodes.usage;
  const usage = error instanceof CommanderError || error instanceof UsageError;
  io.stderr.write(`${name}: ${oneLine(error, io)}${usage ? `; see ${name} --help` : ''}\n`);
  if (io.env.EDS_DEBUG && error instanceof Error) io.stderr.write(`${error.stack}\n`);
  return usage ? exitCodes.usage : exitCodes.failure;
}

function oneLine(error: unknown, io: Io): string {
  if (io.signal.aborted && !(error instanceof Failure)) return 'interrupted';
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' ');
}

/** `eds`, or `eds` and the subcommands that lead `args`. */
function fullName(program: Command, args: readonly string[]): string {
  const names = [program.name()];
  let current: Command | undefined = program;
  for (const arg of args) {
    current = current.commands.find((one) => one.name() === arg);
    if (current === undefined) break;
    names.push(arg);
  }
  return names.join(' ');
}
