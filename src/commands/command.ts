import type { Readable, Writable } from 'node:stream';
import { Command, Option, type ParseOptionsResult } from 'commander';

/** All that a command may touch of its process. */
export type Io = {
  readonly stdin: Readable;
  readonly stdout: TextOutput;
  readonly stderr: TextOutput;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborts when the process is asked to end. */
  readonly signal: AbortSignal;
  /** Calls the listener whenever the process is asked to read its files again; see SignalTrap. */
  readonly onReload?: (listener: () => void) => Disposable;
};
export type TextOutput = Writable & { readonly isTTY?: boolean };

/** A module in commands/ exports one of these; what is heavy to load it imports inside its action. */
export type CommandFactory = (io: Io) => Command;

/** The command line is wrong: exit code 2. The message names the flag and the way out. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** What was asked could not be done, or the answer is no: exit code 1. The message is one line for whoever asked. */
export class Failure extends Error {
  override readonly name = 'Failure';
}

/** A subcommand or the program itself. Its options are those of `option`, given as flags or by their variables in `io.env`. */
export function command(io: Io, name: string, description: string): Command {
  return new EnvironmentCommand(io, name).description(description);
}

/**
 * Commander's own `Option.env` reads process.env, whatever Io says, and takes a boolean's variable for true when it is
 * "false". So variables are applied here: after the flags, which win, and before commander looks for what is missing.
 */
class EnvironmentCommand extends Command {
  readonly #io: Io;

  constructor(io: Io, name: string) {
    super(name);
    this.#io = io;
    this.exitOverride().configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      // run in program.ts prints every error, in one form.
      outputError: () => {},
    });
  }

  override createCommand(name: string): Command {
    return new EnvironmentCommand(this.#io, name);
  }

  override parseOptions(args: string[]): ParseOptionsResult {
    const rest = super.parseOptions(args);
    for (const option of this.options) {
      const text = option instanceof EnvironmentOption ? this.#io.env[option.variable] : undefined;
      // An empty variable is how manifests and shells leave one out.
      if (!(option instanceof EnvironmentOption) || !text) continue;
      if (this.getOptionValueSource(option.attributeName()) === 'cli') continue;
      this.setOptionValueWithSource(option.attributeName(), option.fromVariable(text), 'env');
    }
    return rest;
  }
}

/** @param name the flag or variable that the text came from, for the message of a UsageError */
export type ValueParser<T> = (text: string, name: string) => T;

/**
 * An option with the environment variable `EDS_` + the flag's name, unless `variable` names another. Wrong text is a
 * UsageError from `parse`. A flag without a value is a boolean, for which the variable is true/1 or false/0.
 */
export function option<T = string>(
  flags: string,
  description: string,
  parse?: ValueParser<T>,
  variable?: string,
): EnvironmentOption<T> {
  return new EnvironmentOption(flags, description, parse, variable);
}

export class EnvironmentOption<T = unknown> extends Option {
  readonly variable: string;
  readonly #parse: ValueParser<T> | undefined;
  #repeatable = false;

  constructor(flags: string, description: string, parse?: ValueParser<T>, variable?: string) {
    super(flags, description);
    this.variable = variable ?? `EDS_${this.name().toUpperCase().replaceAll('-', '_')}`;
    this.description = `${description} (env: ${this.variable})`;
    this.#parse = parse;
    if (parse) this.argParser((text) => parse(text, this.#flag));
  }

  /** May be given several times, or once with commas in the variable; the value is an array. */
  repeatable(): this {
    this.#repeatable = true;
    return this.argParser((text: string, values: readonly unknown[] = []) => [
      ...values,
      this.#value(text, this.#flag),
    ]);
  }

  fromVariable(text: string): unknown {
    if (this.isBoolean()) return truth(text, this.variable);
    if (!this.#repeatable) return this.#value(text, this.variable);
    return text.split(',').map((part) => this.#value(part.trim(), this.variable));
  }

  get #flag(): string {
    return `--${this.name()}`;
  }

  #value(text: string, name: string): unknown {
    return this.#parse ? this.#parse(text, name) : text;
  }
}

function truth(text: string, name: string): boolean {
  if (/^(1|true)$/i.test(text)) return true;
  if (/^(0|false)$/i.test(text)) return false;
  throw new UsageError(`${name} must be true or false, got '${text}'`);
}

/** Shown below a command's options. */
export function example(...lines: string[]): string {
  return `\n${lines.length > 1 ? 'Examples' : 'Example'}:\n${lines.map((line) => `  $ ${line}`).join('\n')}\n`;
}
