/** Everything that is wrong with a configuration, not just the first thing. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  constructor(problems: readonly string[]) {
    super(problems.join('; '));
  }
}

/** What the command line and the environment said, by flag; nothing is checked yet. */
export type RawConfig = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

/** @throws ConfigError with the problems of every value that was read */
export function parsed<T extends object>(raw: RawConfig, read: (values: Values) => T): T {
  const values = new Values(raw);
  const config = read(values);
  if (values.problems.length > 0) throw new ConfigError(values.problems);
  return Object.freeze(config);
}

/** Throws RangeError, whose message follows the flag's name: `--addr must be ...`. */
export type Parser<T> = (text: string) => T;

export class Values {
  readonly problems: string[] = [];
  readonly #raw: RawConfig;

  constructor(raw: RawConfig) {
    this.#raw = raw;
  }

  problem(text: string): void {
    this.problems.push(text);
  }

  optional(flag: string): string | undefined {
    const value = this.#raw[flag];
    return typeof value === 'string' && value !== '' ? value : undefined;
  }

  list(flag: string): readonly string[] {
    const value = this.#raw[flag];
    return Array.isArray(value) ? value : [];
  }

  flag(flag: string): boolean {
    return this.#raw[flag] === true;
  }

  read<T>(flag: string, parser: Parser<T>): T {
    return this.parse(flag, this.optional(flag) ?? '', parser);
  }

  /** On a problem the result is not used: parsed() throws. */
  parse<T>(flag: string, text: string, parser: Parser<T>): T {
    try {
      return parser(text);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.problem(`--${flag} ${error.message}`);
      return undefined as T;
    }
  }
}
