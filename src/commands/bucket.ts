import { payloadStoreConfig } from '../config.ts';
import { type CommandFactory, command, example, Failure, option, UsageError } from './command.ts';
import { addPayloadStoreOptions, configOf } from './store-options.ts';
import { wholeNumber } from './values.ts';

export const bucket: CommandFactory = (io) =>
  command(io, 'bucket', 'Prepare the payload store').addCommand(bucketInit(io));

/** A century: what the longest-lived installations ask for. */
const retentionDaysMax = 36_500;

type Options = { objectLock: boolean; versioning: boolean; retentionDays?: number };

const bucketInit: CommandFactory = (io) => {
  const initializing = addPayloadStoreOptions(
    command(io, 'init', 'Create the bucket if it is missing, and check that it has what is asked for'),
  )
    .addOption(option('--object-lock', 'objects can be locked against deletion').default(false))
    .addOption(
      option(
        '--retention-days <n>',
        'lock every new object for so long, in compliance mode: NOBODY can delete it before; needs --object-lock',
        wholeNumber(1, retentionDaysMax),
      ),
    )
    .addOption(option('--versioning', 'keep what is overwritten; part of object lock').default(false))
    .addHelpText('after', example('eds bucket init --s3-bucket audit-records --object-lock --retention-days 3650'))
    .action(async ({ objectLock, versioning, retentionDays }: Options) => {
      const config = configOf(initializing, payloadStoreConfig);
      if (config.kind !== 's3') throw new UsageError('a directory needs no preparation: give --s3-bucket');
      if (retentionDays !== undefined && !objectLock) throw new UsageError('--retention-days needs --object-lock');
      const { BucketLacks, initBucket } = await import('../payload-store/s3-bucket.ts');
      const { bucket: name, endpoint, region, forcePathStyle } = config;
      const { created, state } = await initBucket(
        { bucket: name, forcePathStyle, ...(endpoint && { endpoint }), ...(region && { region }) },
        { versioning, objectLock, retentionDays },
      ).catch((error: unknown) => {
        throw error instanceof BucketLacks ? new Failure(`${error.message}: the store does not offer it here`) : error;
      });
      const retention = state.retentionDays === undefined ? 'no' : `${state.retentionDays} days`;
      io.stdout.write(
        `bucket ${name}: ${created ? 'created' : 'was there'}, versioning ${onOff(state.versioning)}, ` +
          `object lock ${onOff(state.objectLock)}, ${retention} default retention\n`,
      );
    });
  return initializing;
};

const onOff = (value: boolean) => (value ? 'on' : 'off');
