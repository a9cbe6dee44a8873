import type { Floor } from './baselines.ts';
import type { OverloadMeasurement } from './overload.ts';

/** One scenario's figures. CPU in microseconds a record. */
export type Measurement = {
  readonly name: string;
  readonly recordsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpu: { readonly service: number; readonly postgres: number; readonly store: number; readonly load: number };
  readonly serviceMiB: number;
  /** Runs that lost their place to another replica, per hundred records. */
  readonly conflictPercent: number;
  readonly refused: Readonly<Record<string, number>>;
};

export type Report = {
  readonly machine: { readonly cpu: string; readonly cores: number; readonly node: string };
  readonly floor: Floor;
  /** Puts and files a second of the bare loops. */
  readonly bare: { readonly s3: number | undefined; readonly directory: number };
  readonly measurements: readonly Measurement[];
  readonly overload: readonly OverloadMeasurement[];
};

const columns = [
  'scenario',
  'records/s',
  'p50 ms',
  'p99 ms',
  'service us',
  'pg us',
  'store us',
  'load us',
  'of floor',
  'RSS MiB',
  'conflicts',
];

/** @param saved an earlier report: each figure is then followed by its ratio to the saved one */
export function formatReport(report: Report, saved?: Report): string {
  const rows = report.measurements.map((one) => {
    const earlier = saved?.measurements.find(({ name }) => name === one.name);
    const ratio = (now: number, then: number | undefined) => (then ? ` (x${(now / then).toFixed(2)})` : '');
    return [
      one.name,
      `${Math.round(one.recordsPerSecond)}${ratio(one.recordsPerSecond, earlier?.recordsPerSecond)}`,
      one.p50Ms.toFixed(1),
      `${one.p99Ms.toFixed(1)}${ratio(one.p99Ms, earlier?.p99Ms)}`,
      `${one.cpu.service.toFixed(0)}${ratio(one.cpu.service, earlier?.cpu.service)}`,
      one.cpu.postgres.toFixed(0),
      one.cpu.store.toFixed(0),
      one.cpu.load.toFixed(0),
      `x${(one.cpu.service / report.floor.total).toFixed(2)}`,
      one.serviceMiB.toFixed(0),
      `${one.conflictPercent.toFixed(3)} %`,
    ];
  });
  const { verify, hash, row, total } = report.floor;
  return [
    `${report.machine.cpu}, ${report.machine.cores} cores, Node ${report.machine.node}; everything on this machine`,
    '',
    table([columns, ...rows]),
    '',
    `floor: ${total.toFixed(0)} us of CPU a record (verify ${verify.toFixed(0)}, hashes ${hash.toFixed(0)}, row ${row.toFixed(0)})`,
    ...ratios(report),
  ].join('\n');
}

/** Each figure against what bounds it, measured in the same run. */
function ratios({ measurements, bare }: Report): string[] {
  const rate = (name: string) => measurements.find((one) => one.name === name)?.recordsPerSecond;
  const lines: [string, number | undefined, number | undefined][] = [
    ['object layout to a bare put loop (batch)', rate('batch, object'), bare.s3],
    ['object layout to a bare put loop (single x64)', rate('single x64, object'), bare.s3],
    ['object layout to a bare fsync loop (directory)', rate('batch, object, directory'), bare.directory],
    ['three replicas to one (batch)', rate('batch, segment, 3 replicas'), rate('batch, segment')],
    ['three replicas to one (single)', rate('single x64, segment, 3 replicas'), rate('single x64, segment')],
  ];
  return lines.flatMap(([what, one, other]) => (one && other ? [`${what}: x${(one / other).toFixed(2)}`] : []));
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = columns.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join('  '),
    )
    .join('\n');
}
