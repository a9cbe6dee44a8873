import { payloadStoreConfig } from '../config.ts';
import { archiveClasses, type Tier } from '../payload-store/bucket-lifecycle.ts';
import {
  type BucketRequest,
  type BucketState,
  changeFault,
  emptyBucket,
  type RetentionMode,
  retentionModes,
  wantedState,
} from '../payload-store/bucket-state.ts';
import { initJson, initText } from './bucket-text.ts';
import { type CommandFactory, command, example, option, UsageError, type ValueParser } from './command.ts';
import { Progress } from './progress.ts';
import { addPayloadStoreOptions, configOf } from './store-options.ts';
import { oneOf, wholeNumber } from './values.ts';

/** A century: what the longest-lived installations ask for. */
const daysMax = 36_500;
/** Longer than any store takes to start; then the Job should fail and say so. */
const waitSecondsMax = 3_600;
const algorithms = ['AES256', 'aws:kms'] as const;

type Options = {
  objectLock: boolean;
  versioning: boolean;
  retentionDays?: number;
  retentionMode?: RetentionMode;
  lifecycleTier?: Tier[];
  expireDays?: number;
  sse?: (typeof algorithms)[number];
  sseKmsKey?: string;
  waitSeconds: number;
  json: boolean;
};

/** `CLASS:DAYS`. The class is one of AWS's, or a tier of MinIO. */
const tier: ValueParser<Tier> = (text, name) => {
  const [, storageClass = '', days = ''] = /^([A-Z][A-Z0-9_-]*):(.*)$/.exec(text) ?? [];
  if (storageClass === '') throw new UsageError(`${name} must be CLASS:DAYS, as STANDARD_IA:90, got '${text}'`);
  return { storageClass, days: wholeNumber(1, daysMax)(days, `the days of ${name} ${storageClass}`) };
};

export const bucketInit: CommandFactory = (io) => {
  const initializing = addPayloadStoreOptions(
    command(io, 'init', 'Create the bucket if it is missing, give it what is asked for, and read all of it back'),
  )
    .addOption(option('--object-lock', 'objects can be locked against deletion').default(false))
    .addOption(
      option(
        '--retention-days <n>',
        'lock every new object for so long; needs --object-lock. Never shortened afterwards',
        wholeNumber(1, daysMax),
      ),
    )
    .addOption(
      option(
        '--retention-mode <mode>',
        'compliance, also when left out: NOBODY can delete an object before; governance: who may bypass it can',
        oneOf(retentionModes),
      ),
    )
    .addOption(option('--versioning', 'keep what is overwritten; part of object lock').default(false))
    .addOption(
      option(
        '--lifecycle-tier <class:days>',
        'move objects to a storage class when so old; repeatable',
        tier,
      ).repeatable(),
    )
    .addOption(
      option('--expire-days <n>', 'delete objects when so old, and 30 days later for good', wholeNumber(1, daysMax)),
    )
    .addOption(option('--sse <algorithm>', 'encrypt new objects by default: AES256 or aws:kms', oneOf(algorithms)))
    .addOption(option('--sse-kms-key <id>', "the KMS key for --sse aws:kms; the store's own otherwise"))
    .addOption(
      option(
        '--wait-seconds <n>',
        'wait so long for a store that does not answer yet',
        wholeNumber(0, waitSecondsMax),
      ).default(0),
    )
    .addOption(option('--json', 'print what the bucket has as one line of JSON').default(false))
    .addHelpText(
      'after',
      example(
        'eds bucket init --s3-bucket audit-records --object-lock --retention-days 3650',
        'eds bucket init --s3-bucket audit-records --lifecycle-tier STANDARD_IA:90 --lifecycle-tier GLACIER_IR:365',
      ),
    )
    .addHelpText('after', '\nWhat is not asked for is left as it is. Again with the same flags changes nothing.\n')
    .action(async (options: Options) => {
      const config = configOf(initializing, payloadStoreConfig);
      if (config.kind !== 's3') throw new UsageError('a directory needs no preparation: give --s3-bucket');
      const request = requestOf(options);
      const { initBucket } = await import('../payload-store/init-bucket.ts');
      const { bucket: name, endpoint, region, forcePathStyle } = config;
      using progress = new Progress(io.stderr);
      const report = await initBucket(
        { bucket: name, forcePathStyle, ...(endpoint && { endpoint }), ...(region && { region }) },
        request,
        {
          signal: io.signal,
          waitMs: options.waitSeconds * 1_000,
          onWait: (reason) => progress.update(() => `waiting for the store: ${reason}`),
        },
      );
      progress[Symbol.dispose]();
      io.stdout.write(options.json ? initJson(name, report) : initText(name, report));
      for (const note of notes(report.state)) io.stderr.write(`note: ${note}\n`);
    });
  return initializing;
};

/** @throws UsageError where the flags contradict each other, before anything is touched */
function requestOf(options: Options): BucketRequest {
  const { objectLock, versioning, retentionDays, retentionMode, sse, sseKmsKey, lifecycleTier = [] } = options;
  if (retentionDays !== undefined && !objectLock) throw new UsageError('--retention-days needs --object-lock');
  if (retentionMode !== undefined && retentionDays === undefined)
    throw new UsageError('--retention-mode needs --retention-days');
  if (sseKmsKey !== undefined && sse !== 'aws:kms') throw new UsageError('--sse-kms-key needs --sse aws:kms');
  const request: BucketRequest = {
    versioning,
    objectLock,
    retention: retentionDays === undefined ? undefined : { mode: retentionMode ?? 'compliance', days: retentionDays },
    encryption: sse && { algorithm: sse, keyId: sseKmsKey },
    tiers: lifecycleTier,
    expireDays: options.expireDays,
  };
  const fault = changeFault(emptyBucket, wantedState(emptyBucket, request));
  if (fault !== undefined) throw new UsageError(fault);
  return request;
}

/** What follows from the lifecycle and is found out too late otherwise. */
function notes({ lifecycle }: BucketState): string[] {
  const archives = archiveClasses(lifecycle).join(', ');
  return [
    ...(archives === ''
      ? []
      : [`eds audit and eds payload get cannot read what is in ${archives} until it is restored; GLACIER_IR they can`]),
    ...(lifecycle?.expireDays === undefined ? [] : ['eds audit reports payloads that have expired as missing']),
  ];
}
