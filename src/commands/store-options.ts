import type { Command } from 'commander';
import { ConfigError, type RawConfig } from '../config/values.ts';
import type { PayloadStoreConfig } from '../config.ts';
import type { S3StoreOptions } from '../payload-store/open.ts';
import type { PayloadArchive, PayloadReader } from '../payload-store/payload-archive.ts';
import { Failure, option, UsageError } from './command.ts';

/** Options are text here: config.ts checks them all together. */
export function addLedgerOptions(command: Command): Command {
  return command
    .addOption(
      option(
        '--database-url <url>',
        'the ledger: postgres://USER:PASSWORD@HOST:PORT/DATABASE',
        undefined,
        'DATABASE_URL',
      ),
    )
    .addOption(
      option(
        '--pool-size <n>',
        'connections to Postgres of this process; see the sum rule in docs/operations.md',
      ).default('4'),
    );
}

export function addPayloadStoreOptions(command: Command): Command {
  return command
    .addOption(
      option('--payload-layout <layout>', 'object: one object a payload; segment: one a batch').default('object'),
    )
    .addOption(option('--store-dir <dir>', 'keep payloads in a directory (development)'))
    .addOption(option('--s3-bucket <name>', 'keep payloads in this bucket; credentials and region by AWS_*'))
    .addOption(option('--s3-endpoint <url>', 'of an S3 store that is not AWS'))
    .addOption(option('--s3-region <region>', 'region of the bucket', undefined, 'AWS_REGION'))
    .addOption(option('--s3-force-path-style', 'the bucket in the path, not in the host name (MinIO)').default(false));
}

export function addStoreOptions(command: Command): Command {
  return addPayloadStoreOptions(addLedgerOptions(command));
}

/** The command's options as config.ts reads them. @throws UsageError naming everything that is wrong */
export function configOf<T>(command: Command, read: (raw: RawConfig) => T): T {
  const raw = Object.fromEntries(
    command.options.map((one) => [one.name(), command.getOptionValue(one.attributeName()) as RawConfig[string]]),
  );
  try {
    return read(raw);
  } catch (error) {
    if (error instanceof ConfigError) throw new UsageError(error.message);
    throw error;
  }
}

/** For the service: it makes what is missing of a directory. */
export async function openPayloadArchive(config: PayloadStoreConfig): Promise<PayloadArchive> {
  const { openDirectoryStore, openS3Store } = await import('../payload-store/open.ts');
  if (config.kind === 'directory') return openDirectoryStore(config);
  return openS3Store(s3Options(config));
}

/** For who only reads: it changes nothing. @throws Failure when there is no such directory */
export async function openPayloadReader(config: PayloadStoreConfig): Promise<PayloadReader> {
  const { openDirectoryReader, openS3Store } = await import('../payload-store/open.ts');
  if (config.kind === 's3') return openS3Store(s3Options(config));
  const { directory } = config;
  const reader = await openDirectoryReader(directory);
  if (reader === undefined)
    throw new Failure(`--store-dir: no such folder '${directory}': give the one that the service writes to`);
  return reader;
}

function s3Options(config: Extract<PayloadStoreConfig, { kind: 's3' }>): S3StoreOptions {
  const { bucket, endpoint, region, forcePathStyle, layout } = config;
  return { bucket, forcePathStyle, layout, ...(endpoint && { endpoint }), ...(region && { region }) };
}
