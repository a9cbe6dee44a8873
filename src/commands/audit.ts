import type { AuditReport } from '../audit/audit.ts';
import type { Break } from '../audit/findings.ts';
import type { UnreferencedCopy } from '../audit/payload-pass.ts';
import { ledgerConfig, storesConfig } from '../config.ts';
import { type CommandFactory, command, example, Failure, type Io, option } from './command.ts';
import { Progress } from './progress.ts';
import { addStoreOptions, configOf, openPayloadReader } from './store-options.ts';

type Options = { device?: string[]; ledgerOnly: boolean; listOrphans: boolean; json: boolean };

/** Named in the summary without --list-orphans. */
const orphansShownMax = 3;

export const audit: CommandFactory = (io) => {
  const auditing = addStoreOptions(
    command(io, 'audit', 'Re-check the ledger and the payloads: chains, signatures, operation log, every payload'),
  )
    // Not EDS_DEVICE: that is what `eds serve` registers, in another form.
    .addOption(option('--device <id>', 'only this device; repeatable', undefined, 'EDS_AUDIT_DEVICE').repeatable())
    .addOption(option('--ledger-only', 'leave the payload store out').default(false))
    .addOption(option('--list-orphans', 'print every stored object and copy that no record points at').default(false))
    .addOption(option('--json', 'print the outcome as one line of JSON, orphans as one line each').default(false))
    .addHelpText(
      'after',
      example('eds audit --s3-bucket audit-records', 'eds audit --device lift-01 --store-dir ./payloads --json'),
    )
    .addHelpText(
      'after',
      '\nPrints AUDIT_CLEAN, or AUDIT_BROKEN with the first break on stderr and exit code 1. The service may go on' +
        '\nmeanwhile: the ledger is read as it was at the start. A stored object without a record is no break: a crash' +
        '\nbetween put and commit leaves one. So does a deleted record: compare heads with what the devices have.',
    )
    .action(async (options: Options) => {
      const stores = options.ledgerOnly
        ? { ledger: configOf(auditing, ledgerConfig), payloads: undefined }
        : configOf(auditing, storesConfig);
      await run(stores, options, io);
    });
  return auditing;
};

type Stores = Pick<ReturnType<typeof storesConfig>, 'ledger'> & {
  readonly payloads: ReturnType<typeof storesConfig>['payloads'] | undefined;
};

async function run({ ledger, payloads }: Stores, { device, listOrphans, json }: Options, io: Io): Promise<void> {
  const { PostgresSnapshot } = await import('../ledger/ledger-snapshot.ts');
  const { ArchiveCopies } = await import('../payload-store/payload-copies.ts');
  const { audit } = await import('../audit/audit.ts');
  const { databaseUrl } = ledger;
  await using archive = payloads && (await openPayloadReader(payloads));
  await using snapshot = await PostgresSnapshot.open({ databaseUrl, deviceIds: device, signal: io.signal });
  if (device !== undefined) {
    const known = await snapshot.devices(device);
    const unknown = device.find((id) => !known.has(id));
    if (unknown !== undefined) throw new Failure(`--device: '${unknown}' is not registered`);
  }
  using progress = new Progress(io.stderr);
  const orphans: UnreferencedCopy[] = [];
  const report = await audit({
    ledger: snapshot,
    copies: archive && new ArchiveCopies(archive),
    allDevices: device === undefined,
    onProgress: (text) => progress.update(text),
    onUnreferenced: (copy) => {
      if (listOrphans)
        io.stdout.write(json ? `${JSON.stringify({ orphan: orphanJson(copy) })}\n` : `${orphanText(copy)}\n`);
      else if (orphans.length < orphansShownMax) orphans.push(copy);
    },
    signal: io.signal,
  });
  progress[Symbol.dispose]();
  io.stdout.write(json ? `${JSON.stringify(reportJson(report))}\n` : reportText(report, orphans));
  if (report.firstBreak !== undefined)
    throw new Failure(`${breakText(report.firstBreak)}${report.breaks > 1 ? `; and ${report.breaks - 1} more` : ''}`);
}

function breakText({ deviceId, sequence, problem, expected, actual }: Break): string {
  return `device=${deviceId} sequence=${sequence}: ${problem}: expected ${expected}, got ${actual}`;
}

const orphanText = ({ objectKey, offset }: UnreferencedCopy) =>
  offset === undefined ? objectKey : `${objectKey} at ${offset}`;
const orphanJson = ({ objectKey, offset }: UnreferencedCopy) => ({ object_key: objectKey, object_offset: offset });

function reportText(report: AuditReport, orphans: readonly UnreferencedCopy[]): string {
  const { payloads, logKeptSinceMs, firstBreak } = report;
  const whenClean = (text: string) => (firstBreak === undefined ? text : '');
  const lines = [
    firstBreak === undefined ? 'AUDIT_CLEAN' : 'AUDIT_BROKEN',
    `devices: ${report.devices} with records, of ${report.devicesRegistered} registered`,
    `records: ${report.records}${whenClean(', each linked, hashed and signed as it was admitted')}`,
    payloads === undefined
      ? 'payloads: not checked'
      : `payloads: ${payloads.payloads} of ${payloads.payloadBytes} bytes in ${payloads.objects} objects${whenClean(', each read and hashed')}`,
    ...(payloads !== undefined && payloads.unreferenced > 0 ? [orphanSummary(payloads.unreferenced, orphans)] : []),
    logKeptSinceMs === undefined
      ? 'operation log: empty'
      : `operation log: kept since ${isoTime(logKeptSinceMs)}, ${report.rejectedDecisions} rejected`,
    `equivocations on file: ${report.equivocations}`,
    ...(report.clockSkewed > 0 ? [`clock off by more than the tolerance: ${report.clockSkewed} records`] : []),
    ...(firstBreak === undefined ? [] : [`breaks: ${report.breaks}`]),
  ];
  return `${lines.join('\n')}\n`;
}

function orphanSummary(count: number, shown: readonly UnreferencedCopy[]): string {
  const more = count > shown.length ? ', ... (all: --list-orphans)' : '';
  const names = shown.length > 0 ? `: ${shown.map(orphanText).join(', ')}${more}` : '';
  return `stored without a record: ${count}${names}`;
}

function reportJson({ payloads, firstBreak, ...report }: AuditReport): object {
  return {
    clean: firstBreak === undefined,
    devices: report.devices,
    devices_registered: report.devicesRegistered,
    records: report.records,
    payloads: payloads && {
      checked: payloads.payloads,
      bytes: payloads.payloadBytes,
      objects: payloads.objects,
      unreferenced: payloads.unreferenced,
    },
    operation_log_since: report.logKeptSinceMs === undefined ? undefined : isoTime(report.logKeptSinceMs),
    rejected_decisions: report.rejectedDecisions,
    equivocations: report.equivocations,
    clock_skewed: report.clockSkewed,
    breaks: report.breaks,
    first_break: firstBreak && {
      device_id: firstBreak.deviceId,
      sequence: String(firstBreak.sequence),
      problem: firstBreak.problem,
      expected: firstBreak.expected,
      actual: firstBreak.actual,
    },
  };
}

const isoTime = (ms: number) => new Date(ms).toISOString();
