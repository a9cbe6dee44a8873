import type { LoadPlan } from './load-plan.ts';

export type Scenario = {
  readonly name: string;
  readonly store: 's3' | 'directory';
  readonly layout: 'object' | 'segment';
  readonly replicas: number;
  readonly load: Pick<LoadPlan, 'mode' | 'connections' | 'devicesPerConnection' | 'linesPerBatch' | 'payloadBytes'>;
  /** Of the measured run, at scale 1; a third as many warm the replicas up. */
  readonly records: number;
};

const kibibyte = 1024;
const batch = {
  mode: 'batch',
  connections: 8,
  devicesPerConnection: 8,
  linesPerBatch: 512,
  payloadBytes: kibibyte,
} as const;
const single = {
  mode: 'single',
  connections: 64,
  devicesPerConnection: 1,
  linesPerBatch: 1,
  payloadBytes: kibibyte,
} as const;

export const scenarios: readonly Scenario[] = [
  { name: 'batch, segment', store: 's3', layout: 'segment', replicas: 1, load: batch, records: 49_152 },
  { name: 'single x64, segment', store: 's3', layout: 'segment', replicas: 1, load: single, records: 16_000 },
  { name: 'batch, segment, 3 replicas', store: 's3', layout: 'segment', replicas: 3, load: batch, records: 49_152 },
  {
    name: 'single x64, segment, 3 replicas',
    store: 's3',
    layout: 'segment',
    replicas: 3,
    load: single,
    records: 16_000,
  },
  {
    name: 'single x256, segment, 64 KiB',
    store: 's3',
    layout: 'segment',
    replicas: 1,
    load: { ...single, connections: 256, payloadBytes: 64 * kibibyte },
    records: 6_144,
  },
  { name: 'batch, object', store: 's3', layout: 'object', replicas: 1, load: batch, records: 4_096 },
  { name: 'single x64, object', store: 's3', layout: 'object', replicas: 1, load: single, records: 4_096 },
  {
    name: 'batch, segment, directory',
    store: 'directory',
    layout: 'segment',
    replicas: 1,
    load: batch,
    records: 49_152,
  },
  { name: 'batch, object, directory', store: 'directory', layout: 'object', replicas: 1, load: batch, records: 12_288 },
];
