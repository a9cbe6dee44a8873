/** Rights in the language of AWS IAM, which MinIO reads as well. */
export type Policy = { readonly Version: '2012-10-17'; readonly Statement: readonly Statement[] };
export type Statement = {
  readonly Sid: string;
  readonly Effect: 'Allow';
  readonly Action: readonly string[];
  readonly Resource: readonly string[];
};

export type PolicySubject = {
  readonly bucket: string;
  /** ARN of the KMS key that encrypts the bucket; undefined where none of one's own does. */
  readonly kmsKeyArn: string | undefined;
};

/** For `eds serve`: it adds objects and can do nothing else. No listing: readiness takes a refusal for an answer. */
export function servicePolicy({ bucket, kmsKeyArn }: PolicySubject): Policy {
  return policy(
    allow('PutRecords', 's3:PutObject', objectsOf(bucket)),
    ...(kmsKeyArn === undefined ? [] : [allow('EncryptRecords', 'kms:GenerateDataKey', kmsKeyArn)]),
  );
}

/** For `eds audit` and `eds payload get`. */
export function readerPolicy({ bucket, kmsKeyArn }: PolicySubject): Policy {
  return policy(
    allow('GetRecords', 's3:GetObject', objectsOf(bucket)),
    allow('ListRecords', 's3:ListBucket', `arn:aws:s3:::${bucket}`),
    ...(kmsKeyArn === undefined ? [] : [allow('DecryptRecords', 'kms:Decrypt', kmsKeyArn)]),
  );
}

const objectsOf = (bucket: string) => `arn:aws:s3:::${bucket}/*`;

const allow = (sid: string, action: string, resource: string): Statement => ({
  Sid: sid,
  Effect: 'Allow',
  Action: [action],
  Resource: [resource],
});

const policy = (...statements: readonly Statement[]): Policy => ({ Version: '2012-10-17', Statement: statements });
