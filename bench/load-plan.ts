import type { Quantiles } from './quantiles.ts';

/** What the load generator is to do; goes to its process as JSON. */
export type LoadPlan = {
  /** Of the replicas; a device's requests go round them. */
  readonly urls: readonly string[];
  readonly mode: 'single' | 'batch';
  /** Requests in flight at once; each belongs to one connection's own devices. */
  readonly connections: number;
  readonly devicesPerConnection: number;
  /** Of one batch request; its devices take turns. */
  readonly linesPerBatch: number;
  readonly payloadBytes: number;
  readonly recordsPerConnection: number;
  /** Device ids are `<prefix>-<n>`, n from 0. */
  readonly devicePrefix: string;
  /** The devices' private key, hex. One key for all: signing is not what is measured. */
  readonly privateKeyHex: string;
};

export type LoadResult = {
  readonly records: number;
  /** Any answer but `accepted`, by its code. */
  readonly refused: Readonly<Record<string, number>>;
  readonly seconds: number;
  /** Of sending alone. */
  readonly cpuSeconds: number;
  /** Of each request. */
  readonly latencyMs: Quantiles;
};
