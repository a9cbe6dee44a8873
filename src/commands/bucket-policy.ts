import { readerPolicy, servicePolicy } from '../payload-store/bucket-policy.ts';
import { type CommandFactory, command, example, option, UsageError, type ValueParser } from './command.ts';

type Options = { s3Bucket: string; reader: boolean; sseKmsKey?: string };

/** A policy names its resources by ARN alone. */
const kmsKeyArn: ValueParser<string> = (text, name) => {
  if (!/^arn:[^:]+:kms:[^:]+:[^:]+:key\/.+$/.test(text))
    throw new UsageError(`${name} must be the ARN of a key, arn:aws:kms:REGION:ACCOUNT:key/ID, got '${text}'`);
  return text;
};

export const bucketPolicy: CommandFactory = (io) =>
  command(io, 'policy', 'Print the least rights that the service needs on the bucket, as an IAM policy')
    .addOption(option('--s3-bucket <name>', 'the bucket').makeOptionMandatory())
    .addOption(option('--reader', 'for eds audit and eds payload get instead').default(false))
    .addOption(option('--sse-kms-key <arn>', 'the AWS KMS key that the bucket is encrypted with', kmsKeyArn))
    .addHelpText('after', example('eds bucket policy --s3-bucket audit-records > service-policy.json'))
    .action(({ s3Bucket, reader, sseKmsKey }: Options) => {
      const subject = { bucket: s3Bucket, kmsKeyArn: sseKmsKey };
      const policy = reader ? readerPolicy(subject) : servicePolicy(subject);
      io.stdout.write(`${JSON.stringify(policy, undefined, 2)}\n`);
    });
