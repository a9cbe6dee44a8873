/** `eds bucket init` and `eds bucket policy` against a real S3 server. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test, { after } from 'node:test';
import {
  GetBucketLifecycleConfigurationCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketPolicyCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import type { Policy } from '../src/payload-store/bucket-policy.ts';
import { eds } from './support/command-line.ts';
import { type Minio, minioMissing, startMinio } from './support/minio.ts';

const minio = await startMinio();
after(() => minio?.[Symbol.asyncDispose]());
const skip = minio === undefined && minioMissing;

/** The SDK reads credentials from the process's environment, as it would for the real command. */
function initAt(
  server: Pick<Minio, 'endpoint' | 'credentials'> | undefined,
  bucket: string,
  ...flags: readonly string[]
) {
  process.env.AWS_ACCESS_KEY_ID = server?.credentials.accessKeyId;
  process.env.AWS_SECRET_ACCESS_KEY = server?.credentials.secretAccessKey;
  const env = { EDS_S3_ENDPOINT: server?.endpoint ?? '', EDS_S3_FORCE_PATH_STYLE: 'true', EDS_S3_BUCKET: bucket };
  return eds(['bucket', 'init', ...flags], { env });
}

const init = (bucket: string, ...flags: readonly string[]) => initAt(minio, bucket, ...flags);

/** What a later run without flags finds in the bucket. */
async function stateOf(bucket: string) {
  const { stdout } = await init(bucket, '--json');
  const { bucket: _name, created: _created, changed: _changed, ...state } = JSON.parse(stdout);
  return state;
}

function openClient(t: { after(end: () => void): void }): S3Client {
  assert.ok(minio);
  const { endpoint, credentials } = minio;
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials });
  t.after(() => client.destroy());
  return client;
}

test('a missing bucket is made with the lock that was asked for; again changes nothing', { skip }, async () => {
  const flags = ['--object-lock', '--retention-days', '30'];
  const state = [
    '  versioning          on',
    '  object lock         on',
    '  default retention   30 days in compliance mode',
    '  default encryption  none',
    '  lifecycle rule      none',
    '',
  ].join('\n');
  assert.deepEqual(await init('locked', ...flags), {
    exitCode: 0,
    stdout: `bucket locked: created\n${state}`,
    stderr: '',
  });
  assert.equal((await init('locked', ...flags)).stdout, `bucket locked: was there, nothing changed\n${state}`);
  assert.equal(
    (await init('locked')).stdout,
    `bucket locked: was there, nothing changed\n${state}`,
    'what is not asked for stays',
  );
});

test('versioning comes on for a bucket that was there', { skip }, async () => {
  assert.match((await init('plain')).stdout, /^bucket plain: created\n {2}versioning +off\n {2}object lock +off\n/);
  assert.match(
    (await init('plain', '--versioning')).stdout,
    /^bucket plain: was there, changed versioning\n {2}versioning +on\n {2}object lock +off\n/,
  );
});

test('a retention grows, and is never weakened: what was promised is kept', { skip }, async () => {
  const lock = (...flags: readonly string[]) => init('promise', '--object-lock', ...flags);
  assert.equal((await lock('--retention-days', '30', '--retention-mode', 'governance')).exitCode, 0);
  const grown = await lock('--retention-days', '60', '--retention-mode', 'compliance');
  assert.match(grown.stdout, /changed default retention\n.*60 days in compliance mode/s);
  for (const weaker of [['59'], ['60', '--retention-mode', 'governance']]) {
    const { exitCode, stderr } = await lock('--retention-days', ...weaker);
    assert.equal(exitCode, 1);
    assert.match(stderr, /default retention is 60 days in compliance mode and is not weakened/);
  }
  assert.deepEqual((await stateOf('promise')).retention, { mode: 'compliance', days: 60 });
});

test('a bucket that cannot have what is asked for fails, so that nobody relies on a lock that is not there', {
  skip,
}, async () => {
  await init('unlockable');
  const { exitCode, stdout, stderr } = await init('unlockable', '--object-lock', '--retention-days', '30');
  assert.equal(exitCode, 1, stdout);
  assert.match(stderr, /bucket unlockable: this store locks objects only in a bucket that was created with/);
});

test('objects expire after their lock ends, and the rules of others stay', { skip }, async (t) => {
  await init('aging', '--object-lock', '--retention-days', '365');
  const client = openClient(t);
  const foreign = { ID: 'theirs', Status: 'Enabled', Filter: { Prefix: 'tmp/' }, Expiration: { Days: 1 } } as const;
  await client.send(
    new PutBucketLifecycleConfigurationCommand({ Bucket: 'aging', LifecycleConfiguration: { Rules: [foreign] } }),
  );
  const { exitCode, stderr } = await init('aging', '--expire-days', '364');
  assert.equal(exitCode, 1);
  assert.match(stderr, /expiry after 364 days comes before the retention of 365 days ends/);

  const set = await init('aging', '--expire-days', '365');
  assert.match(set.stdout, /changed lifecycle rule\n.*expires after 365 days, old versions deleted 30 days later/s);
  assert.match(set.stderr, /note: eds audit reports payloads that have expired as missing/);
  assert.match((await init('aging', '--expire-days', '365')).stdout, /nothing changed/);
  const { Rules: rules = [] } = await client.send(new GetBucketLifecycleConfigurationCommand({ Bucket: 'aging' }));
  assert.deepEqual(rules.map(({ ID }) => ID).sort(), ['edgesentry', 'theirs']);
});

test('a storage class that the store does not have is named, with the way out', { skip }, async () => {
  const { exitCode, stderr } = await init('tiers', '--lifecycle-tier', 'STANDARD_IA:90');
  assert.equal(exitCode, 1);
  assert.match(stderr, /storage class of STANDARD_IA: on MinIO add a tier of that name first .*or leave the class out/);
});

test('a store without keys says so instead of keeping payloads in the clear', { skip }, async () => {
  const { exitCode, stderr } = await init('clear', '--sse', 'AES256');
  assert.equal(exitCode, 1);
  assert.match(stderr, /the store has no keys to encrypt with: .*MINIO_KMS_SECRET_KEY/);
});

test('new objects are encrypted by default where the store has keys', { skip }, async (t) => {
  process.env.MINIO_KMS_SECRET_KEY = `payload-key:${Buffer.alloc(32, 1).toString('base64')}`;
  t.after(() => delete process.env.MINIO_KMS_SECRET_KEY);
  await using keeper = await startMinio();
  assert.ok(keeper);
  if (keeper.pid === undefined) return t.skip('MinIO in a container does not get the key');
  const encrypt = (...flags: readonly string[]) => initAt(keeper, 'sealed', ...flags);
  assert.match((await encrypt('--sse', 'AES256')).stdout, /default encryption {2}AES256\n/);
  const kms = ['--sse', 'aws:kms', '--sse-kms-key', 'payload-key'];
  assert.match((await encrypt(...kms)).stdout, /changed default encryption\n.*aws:kms with key payload-key\n/s);
  assert.match((await encrypt('--sse', 'aws:kms')).stdout, /nothing changed/, 'without a key, any will do');
  const unknown = await encrypt('--sse', 'aws:kms', '--sse-kms-key', 'lost');
  assert.match(unknown.stderr, /KMS has no key lost/);
});

test('who may not look at the bucket hears so at once, however long a wait was allowed', { skip }, async (t) => {
  assert.ok(minio);
  const credentials = await minio.writeOnlyCredentials();
  process.env.AWS_SESSION_TOKEN = credentials.sessionToken;
  t.after(() => delete process.env.AWS_SESSION_TOKEN);
  const { exitCode, stderr } = await initAt(
    { endpoint: minio.endpoint, credentials },
    'plain',
    '--wait-seconds',
    '600',
  );
  assert.equal(exitCode, 1);
  assert.match(stderr, /cannot look at bucket plain: the credentials do not permit this/);
});

test('a Job that comes up before its store waits until the store is there', { skip }, async () => {
  await using late = await startMinio();
  assert.ok(late);
  await late.kill();
  const [{ exitCode, stdout }] = await Promise.all([initAt(late, 'late', '--wait-seconds', '60'), late.start()]);
  assert.equal(exitCode, 0);
  assert.match(stdout, /^bucket late: created\n/);
});

test('wrong flags are told before anything is touched', async () => {
  const wrong: [string, RegExp][] = [
    ['--retention-days 30', /--retention-days needs --object-lock/],
    ['--object-lock --retention-mode governance', /--retention-mode needs --retention-days/],
    ['--sse-kms-key k', /--sse-kms-key needs --sse aws:kms/],
    ['--sse rot13', /--sse must be AES256 or aws:kms/],
    ['--lifecycle-tier GLACIER', /--lifecycle-tier must be CLASS:DAYS/],
    ['--lifecycle-tier GLACIER:soon', /the days of --lifecycle-tier GLACIER must be a whole number/],
    ['--lifecycle-tier STANDARD_IA:29', /nothing to STANDARD_IA before 30 days, 29 were asked for/],
    ['--lifecycle-tier STANDARD_IA:90 --lifecycle-tier GLACIER:90', /GLACIER after 90 days has to come later/],
    ['--lifecycle-tier GLACIER:90 --lifecycle-tier GLACIER:365', /GLACIER is named twice/],
    ['--lifecycle-tier GLACIER:90 --expire-days 90', /expiry after 90 days has to come later than GLACIER/],
    ['--object-lock --retention-days 30 --expire-days 29', /expire after 30 days or more/],
  ];
  for (const [flags, message] of wrong) {
    const { exitCode, stderr } = await init('never', ...flags.split(' '));
    assert.equal(exitCode, 2, flags);
    assert.match(stderr, message);
  }
  const directory = await eds(['bucket', 'init', '--store-dir', '/nowhere']);
  assert.deepEqual([directory.exitCode, /give --s3-bucket/.test(directory.stderr)], [2, true]);
});

async function policyOf(bucket: string, ...flags: readonly string[]): Promise<Policy> {
  const { stdout } = await eds(['bucket', 'policy', '--s3-bucket', bucket, ...flags]);
  return JSON.parse(stdout);
}

/** Whom the policy names may do what the store then allows: here everybody, so that a request needs no signature. */
async function grantToAll(t: Parameters<typeof openClient>[0], bucket: string, { Version, Statement }: Policy) {
  const open = { Version, Statement: Statement.map((statement) => ({ ...statement, Principal: { AWS: ['*'] } })) };
  await openClient(t).send(new PutBucketPolicyCommand({ Bucket: bucket, Policy: JSON.stringify(open) }));
}

async function attempts(bucket: string, object: string) {
  const status = async (path: string, init: RequestInit = {}) =>
    (await fetch(`${minio?.endpoint}/${bucket}${path}`, init)).status;
  return {
    put: await status(`/${object}`, { method: 'PUT', body: 'payload', headers: { 'if-none-match': '*' } }),
    get: await status(`/${object}`),
    list: await status(''),
    delete: await status(`/${object}`, { method: 'DELETE' }),
  };
}

test('with the printed policies the service can only add, and the auditor only look', { skip }, async (t) => {
  await init('rights');
  await grantToAll(t, 'rights', await policyOf('rights'));
  assert.deepEqual(await attempts('rights', 'lift-01/1'), { put: 200, get: 403, list: 403, delete: 403 });
  await grantToAll(t, 'rights', await policyOf('rights', '--reader'));
  assert.deepEqual(await attempts('rights', 'lift-01/1'), { put: 403, get: 200, list: 200, delete: 403 });
});

test('the printed policies are the permissions that docs/operations.md asks for', async () => {
  const doc = readFileSync(new URL('../docs/operations.md', import.meta.url), 'utf8');
  const documented = (who: string) => {
    const row = doc.split('\n').find((line) => line.startsWith(`| ${who} |`)) ?? '';
    return row.match(/s3:\w+/g);
  };
  const granted = ({ Statement }: Policy) => Statement.flatMap(({ Action }) => Action);
  assert.deepEqual(granted(await policyOf('b')), documented('`eds serve`'));
  assert.deepEqual(granted(await policyOf('b', '--reader')), documented('`eds audit`, `eds payload get`'));
});

test('a bucket under a KMS key of its own needs that key in the policy as well', async () => {
  const key = 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd';
  const statement = async (...flags: readonly string[]) =>
    (await policyOf('b', '--sse-kms-key', key, ...flags)).Statement.at(-1);
  const grants = { Effect: 'Allow', Resource: [key] };
  assert.deepEqual(await statement(), { Sid: 'EncryptRecords', Action: ['kms:GenerateDataKey'], ...grants });
  assert.deepEqual(await statement('--reader'), { Sid: 'DecryptRecords', Action: ['kms:Decrypt'], ...grants });
  const name = await eds(['bucket', 'policy', '--s3-bucket', 'b', '--sse-kms-key', 'alias/payloads']);
  assert.deepEqual([name.exitCode, /must be the ARN of a key/.test(name.stderr)], [2, true]);
});
