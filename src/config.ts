import { SourceAllowlist } from './ingest/source-allowlist.ts';
import { deviceIdFault } from './record/device.ts';
import { hexToBytes } from './record/hex.ts';
import type { ObjectRefScope } from './record/judge.ts';
import { signatureSchemes, type VerificationKey } from './record/signature.ts';

/** Everything that is wrong with a configuration, not just the first thing. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  constructor(problems: readonly string[]) {
    super(problems.join('; '));
  }
}

/** What the command line and the environment said, by flag; nothing is checked yet. */
export type RawConfig = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

export type LedgerConfig = {
  readonly databaseUrl: string;
  /** Connections of this process, besides one that listens for registry changes. */
  readonly poolConnectionsMax: number;
};

export type PayloadStoreConfig = { readonly layout: 'object' | 'segment' } & (
  | { readonly kind: 'directory'; readonly directory: string }
  | {
      readonly kind: 's3';
      readonly bucket: string;
      readonly endpoint: string | undefined;
      readonly region: string | undefined;
      readonly forcePathStyle: boolean;
    }
);

export type Address = { readonly host: string; readonly port: number };
export type InitialDevice = { readonly id: string; readonly key: VerificationKey };

/** Of every service that takes records over HTTP. */
export type ServiceConfig = {
  readonly ingestAddress: Address;
  readonly opsAddress: Address;
  readonly allowedSources: SourceAllowlist;
  readonly trustedProxies: SourceAllowlist;
  readonly devices: readonly InitialDevice[];
  readonly objectRefScope: ObjectRefScope;
  /** One envelope as JSON: its payload in hex and room for the record. */
  readonly envelopeBytesMax: number;
  readonly drainDeadlineMs: number;
  readonly logLevel: LogLevel;
};

export type ServeConfig = ServiceConfig & { readonly ledger: LedgerConfig; readonly payloads: PayloadStoreConfig };

export type RelayConfig = ServiceConfig & {
  /** The centre. */
  readonly upstream: URL;
  readonly dataDirectory: string;
  /** Of records and payloads that wait for the centre. */
  readonly queueBytesMax: number;
};

const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** A record as integer arrays takes 600 bytes, its two texts at most six bytes a character as escapes: 8 KiB. */
const recordJsonBytesMax = 16 * 1024;

/** @throws ConfigError */
export function ledgerConfig(raw: RawConfig): LedgerConfig {
  return parsed(raw, readLedger);
}

/** @throws ConfigError */
export function storesConfig(raw: RawConfig): Pick<ServeConfig, 'ledger' | 'payloads'> {
  return parsed(raw, (values) => ({ ledger: readLedger(values), payloads: readPayloadStore(values) }));
}

/** @throws ConfigError */
export function payloadStoreConfig(raw: RawConfig): PayloadStoreConfig {
  return parsed(raw, readPayloadStore);
}

/** @throws ConfigError */
export function serveConfig(raw: RawConfig): ServeConfig {
  return parsed(raw, (values) => ({
    ledger: readLedger(values),
    payloads: readPayloadStore(values),
    ...readService(values),
  }));
}

/** @throws ConfigError */
export function relayConfig(raw: RawConfig): RelayConfig {
  return parsed(raw, (values) => ({
    upstream: values.read('upstream', (text) => new URL(httpUrl(text))),
    dataDirectory: values.read('data-dir', path),
    queueBytesMax: values.read('queue-bytes-max', wholeNumber(1, Number.MAX_SAFE_INTEGER)),
    ...readService(values),
  }));
}

function readService(values: Values): ServiceConfig {
  return {
    ingestAddress: values.read('addr', address),
    opsAddress: values.read('ops-addr', address),
    allowedSources: values.read('allowed-sources', allowlist),
    trustedProxies: values.read('trusted-proxies', allowlist),
    devices: values.list('device').map((text) => values.parse('device', text, initialDevice)),
    objectRefScope: values.read('object-ref-scope', oneOf(['device', 'any'])),
    envelopeBytesMax: 2 * values.read('payload-bytes-max', wholeNumber(1, 16 * 1024 * 1024)) + recordJsonBytesMax,
    drainDeadlineMs: 1000 * values.read('drain-seconds', wholeNumber(1, 3600)),
    logLevel: values.read('log-level', oneOf(logLevels)),
  };
}

function readLedger(values: Values): LedgerConfig {
  return {
    databaseUrl: values.read('database-url', databaseUrl),
    poolConnectionsMax: values.read('pool-size', wholeNumber(2, 100)),
  };
}

function readPayloadStore(values: Values): PayloadStoreConfig {
  const layout = values.read('payload-layout', oneOf(['object', 'segment']));
  const directory = values.optional('store-dir');
  const bucket = values.optional('s3-bucket');
  if ((directory === undefined) === (bucket === undefined))
    values.problem('give --s3-bucket, or for development --store-dir, and not both');
  if (directory !== undefined) return { kind: 'directory', layout, directory };
  const endpoint = values.optional('s3-endpoint');
  return {
    kind: 's3',
    layout,
    bucket: bucket ?? '',
    endpoint: endpoint && values.parse('s3-endpoint', endpoint, httpUrl),
    region: values.optional('s3-region'),
    forcePathStyle: values.flag('s3-force-path-style'),
  };
}

/** @throws ConfigError with the problems of every value that was read */
function parsed<T extends object>(raw: RawConfig, read: (values: Values) => T): T {
  const values = new Values(raw);
  const config = read(values);
  if (values.problems.length > 0) throw new ConfigError(values.problems);
  return Object.freeze(config);
}

/** Throws RangeError, whose message follows the flag's name: `--addr must be ...`. */
type Parser<T> = (text: string) => T;

class Values {
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

/** `host:port`, `[v6]:port` or `:port`. */
function address(text: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw new RangeError(`must be HOST:PORT or [IPV6]:PORT, got '${text}'`);
  return { host: match[1] ?? (match[2] || '0.0.0.0'), port };
}

function allowlist(text: string): SourceAllowlist {
  const entries = text.split(',').map((entry) => entry.trim());
  try {
    return new SourceAllowlist(entries.filter((entry) => entry !== ''));
  } catch (error) {
    throw new RangeError(`must be addresses and CIDR blocks with commas: ${(error as Error).message}`);
  }
}

/** Never repeats what was given: it holds a password. */
function databaseUrl(text: string): string {
  if (!/^postgres(ql)?:\/\//.test(text))
    throw new RangeError('(or DATABASE_URL) must be postgres://USER:PASSWORD@HOST:PORT/DATABASE');
  return text;
}

/** `ID=PUBKEY_HEX`, or `ID=SCHEME:PUBKEY_HEX`. */
function initialDevice(text: string): InitialDevice {
  const match = /^(.+)=(?:([a-z]+-v[12]):)?([0-9a-fA-F]{64})$/s.exec(text);
  const scheme = signatureSchemes.find((one) => one === (match?.[2] ?? 'payload-v1'));
  const publicKey = hexToBytes(match?.[3] ?? '');
  if (match?.[1] === undefined || scheme === undefined || publicKey === undefined)
    throw new RangeError(`must be ID=PUBKEY_HEX or ID=record-v2:PUBKEY_HEX, got '${text}'`);
  const fault = deviceIdFault(match[1]);
  if (fault !== undefined) throw new RangeError(`${JSON.stringify(match[1])}: ${fault}`);
  return { id: match[1], key: { scheme, publicKey } };
}

function path(text: string): string {
  if (text === '') throw new RangeError('must name a directory');
  return text;
}

function httpUrl(text: string): string {
  if (!/^https?:$/.test(URL.parse(text)?.protocol ?? ''))
    throw new RangeError(`must be an http(s) address, got '${text}'`);
  return text;
}

function wholeNumber(least: number, most: number): Parser<number> {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= least && value <= most))
      throw new RangeError(`must be a whole number from ${least} to ${most}, got '${text}'`);
    return value;
  };
}

function oneOf<const T extends string>(choices: readonly T[]): Parser<T> {
  return (text) => {
    const choice = choices.find((one) => one === text);
    if (choice === undefined) throw new RangeError(`must be ${choices.join(' or ')}, got '${text}'`);
    return choice;
  };
}
