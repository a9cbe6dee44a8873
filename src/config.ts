import {
  type Address,
  address,
  allowlist,
  databaseUrl,
  httpUrl,
  type InitialDevice,
  initialDevice,
  oneOf,
  path,
  rate,
  wholeNumber,
} from './config/parsers.ts';
import { parsed, type RawConfig, type Values } from './config/values.ts';
import type { RateLimitsOptions } from './ingest/rate-limits.ts';
import type { SourceAllowlist } from './ingest/source-allowlist.ts';
import type { ObjectRefScope } from './record/judge.ts';

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

/** Of every service that takes records over HTTP. */
export type ServiceConfig = {
  readonly ingestAddress: Address;
  readonly opsAddress: Address;
  readonly allowedSources: SourceAllowlist;
  readonly trustedProxies: SourceAllowlist;
  /** Load balancers that say by PROXY protocol whom they speak for. */
  readonly proxyProtocolFrom: SourceAllowlist;
  readonly connectionsPerSourceMax: number;
  readonly limits: Omit<RateLimitsOptions, 'now'>;
  readonly clockSkewMaxMs: number;
  readonly devices: readonly InitialDevice[];
  readonly objectRefScope: ObjectRefScope;
  /** One envelope as JSON: its payload in hex and room for the record. */
  readonly envelopeBytesMax: number;
  readonly drainDeadlineMs: number;
  readonly logLevel: LogLevel;
};

export type ServeConfig = ServiceConfig & { readonly ledger: LedgerConfig; readonly payloads: PayloadStoreConfig };

export type TlsConfig = {
  readonly certFile: string;
  readonly keyFile: string;
  readonly clients:
    | { readonly auth: 'required' | 'optional'; readonly caFile: string; readonly crlFile: string | undefined }
    | undefined;
};

export type ServeTlsConfig = ServeConfig & { readonly tls: TlsConfig };

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
  return parsed(raw, readServe);
}

/** @throws ConfigError */
export function serveTlsConfig(raw: RawConfig): ServeTlsConfig {
  return parsed(raw, (values) => ({ ...readServe(values), tls: readTls(values) }));
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

function readServe(values: Values): ServeConfig {
  return { ledger: readLedger(values), payloads: readPayloadStore(values), ...readService(values) };
}

function readService(values: Values): ServiceConfig {
  return {
    ingestAddress: values.read('addr', address),
    opsAddress: values.read('ops-addr', address),
    allowedSources: values.read('allowed-sources', allowlist),
    trustedProxies: values.read('trusted-proxies', allowlist),
    proxyProtocolFrom: values.read('proxy-protocol-from', allowlist),
    connectionsPerSourceMax: values.read('connections-per-source-max', wholeNumber(1, 10_000)),
    limits: {
      source: values.read('limit-source', rate),
      device: values.read('limit-device', rate),
      pod: values.read('limit-pod', rate),
      refused: values.read('limit-refused', rate),
    },
    clockSkewMaxMs: 1000 * values.read('clock-skew-seconds-max', wholeNumber(0, 1_000_000_000)),
    devices: values.list('device').map((text) => values.parse('device', text, initialDevice)),
    objectRefScope: values.read('object-ref-scope', oneOf(['device', 'any'])),
    envelopeBytesMax: 2 * values.read('payload-bytes-max', wholeNumber(1, 16 * 1024 * 1024)) + recordJsonBytesMax,
    drainDeadlineMs: 1000 * values.read('drain-seconds', wholeNumber(1, 3600)),
    logLevel: values.read('log-level', oneOf(logLevels)),
  };
}

function readTls(values: Values): TlsConfig {
  const certFile = values.read('tls-cert', path);
  const keyFile = values.read('tls-key', path);
  const caFile = values.optional('tls-client-ca');
  const auth = values.optional('tls-client-auth');
  const crlFile = values.optional('tls-client-crl');
  if (caFile === undefined) {
    // Said without a CA, nobody could pass, or everybody would: neither can be meant.
    if (auth !== undefined) values.problem('--tls-client-auth needs --tls-client-ca');
    if (crlFile !== undefined) values.problem('--tls-client-crl needs --tls-client-ca');
    return { certFile, keyFile, clients: undefined };
  }
  const clientAuth = values.parse('tls-client-auth', auth ?? 'required', oneOf(['required', 'optional']));
  return { certFile, keyFile, clients: { auth: clientAuth, caFile, crlFile } };
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
