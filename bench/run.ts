/** `npm run bench`: the real service, Postgres and object store under load, beside what bounds them. See --help. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startPostgres } from '../dev/embedded-postgres.ts';
import { startMinio } from '../test/support/minio.ts';
import { bareFiles, barePuts, measureFloor } from './baselines.ts';
import { Bench } from './bench.ts';
import { formatOverload, measureOverload } from './overload.ts';
import { overloadCases } from './overload-cases.ts';
import { formatReport, type Report } from './report.ts';
import { scenarios } from './scenarios.ts';

const usage = `npm run bench -- [--only TEXT] [--scale N] [--rounds N] [--smoke] [--json FILE] [--compare FILE] [--dir FOLDER]
  --only     the scenarios whose name contains TEXT
  --scale    times the number of records and seconds; 1 takes about eight minutes
  --rounds   of each case of overload; prints the median, and from where to where they go
  --smoke    a hundredth of the records: shows that it works, measures nothing
  --json     save the figures
  --compare  print each figure's ratio to saved ones
  --dir      where databases and payloads go while it runs; the disk that is measured`;

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    scale: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '1' },
    smoke: { type: 'boolean', default: false },
    json: { type: 'string' },
    compare: { type: 'string' },
    dir: { type: 'string', default: '.' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(usage);
  process.exit(0);
}
const scale = values.smoke ? 0.01 : Number(values.scale);
const progress = (line: string) => process.stderr.write(`${line}\n`);
const payloadBytes = 1024;
/** As many puts at once as the object layout makes. */
const putsAtOnce = 32;

const folder = await mkdtemp(join(values.dir, '.bench-'));
try {
  await using postgres = await startPostgres({
    dataDirectory: join(folder, 'postgres'),
    durable: true,
    persistent: false,
  });
  await using minio = await startMinio();
  if (minio === undefined) progress('NO MINIO: set MINIO_BIN or put minio on PATH; the S3 scenarios are left out');
  await using bench = await Bench.open({ postgres, minio, folder, name: 'bench' });

  progress('floor');
  const floor = await measureFloor(bench.databaseUrl, `${await bench.registerDevices(1)}-0`, payloadBytes);
  progress('bare loops');
  const puts = Math.max(100, Math.round(4_000 * scale));
  const bare = {
    s3: bench.s3 && (await barePuts(bench.s3, puts, putsAtOnce, payloadBytes)),
    directory: await bareFiles(join(folder, 'bare'), puts * 2, putsAtOnce, payloadBytes),
  };
  const measurements = [];
  for (const scenario of scenarios) {
    if (!scenario.name.includes(values.only) || (scenario.store === 's3' && minio === undefined)) continue;
    progress(scenario.name);
    measurements.push(await bench.measure(scenario, scale));
  }
  const overload = [];
  await using overloaded = await Bench.open({ postgres, minio, folder, name: 'overload' });
  for (const one of overloadCases) {
    if (!one.name.includes(values.only) || minio === undefined) continue;
    progress(one.name);
    overload.push(await measureOverload(overloaded, one, { rounds: Number(values.rounds), scale }));
  }
  const machine = { cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, node: process.versions.node };
  const report: Report = { machine, floor, bare, measurements, overload };
  const saved = values.compare ? (JSON.parse(await readFile(values.compare, 'utf8')) as Report) : undefined;
  console.log([formatReport(report, saved), ...overload.map(formatOverload)].join('\n\n'));
  if (values.json) await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`);
  const failed = measurements.filter(({ refused }) => Object.keys(refused).length > 0);
  for (const { name, refused } of failed) console.error(`${name}: refused ${JSON.stringify(refused)}`);
  process.exitCode = failed.length > 0 || overload.some(({ faults }) => faults.length > 0) ? 1 : 0;
} finally {
  await rm(folder, { recursive: true, force: true });
}
