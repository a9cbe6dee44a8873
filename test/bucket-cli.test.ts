/** `eds bucket init` against a real S3 server. */
import assert from 'node:assert/strict';
import test, { after } from 'node:test';
import { eds } from './support/command-line.ts';
import { minioMissing, startMinio } from './support/minio.ts';

const minio = await startMinio();
after(() => minio?.[Symbol.asyncDispose]());
const skip = minio === undefined && minioMissing;

/** The SDK reads credentials from the process's environment, as it would for the real command. */
function init(bucket: string, ...flags: readonly string[]) {
  process.env.AWS_ACCESS_KEY_ID = minio?.credentials.accessKeyId;
  process.env.AWS_SECRET_ACCESS_KEY = minio?.credentials.secretAccessKey;
  const env = { EDS_S3_ENDPOINT: minio?.endpoint ?? '', EDS_S3_FORCE_PATH_STYLE: 'true', EDS_S3_BUCKET: bucket };
  return eds(['bucket', 'init', ...flags], { env });
}

test('a missing bucket is made with the lock that was asked for; again changes nothing', { skip }, async () => {
  const flags = ['--object-lock', '--retention-days', '30'];
  const state = 'versioning on, object lock on, 30 days default retention\n';
  assert.deepEqual(await init('locked', ...flags), {
    exitCode: 0,
    stdout: `bucket locked: created, ${state}`,
    stderr: '',
  });
  assert.equal((await init('locked', ...flags)).stdout, `bucket locked: was there, ${state}`);
  assert.equal((await init('locked')).stdout, `bucket locked: was there, ${state}`, 'what is not asked for stays');
});

test('versioning comes on for a bucket that was there', { skip }, async () => {
  assert.match((await init('plain')).stdout, /^bucket plain: created, versioning off, object lock off, no default/);
  assert.match(
    (await init('plain', '--versioning')).stdout,
    /^bucket plain: was there, versioning on, object lock off/,
  );
});

test('a bucket that cannot have what is asked for fails, so that nobody relies on a lock that is not there', {
  skip,
}, async () => {
  await init('unlockable');
  const { exitCode, stdout, stderr } = await init('unlockable', '--object-lock', '--retention-days', '30');
  assert.equal(exitCode, 1, stdout);
  assert.match(stderr, /unlockable/);
});

test('wrong flags are told before anything is touched', async () => {
  const noLock = await init('never', '--retention-days', '30');
  assert.deepEqual([noLock.exitCode, /--retention-days needs --object-lock/.test(noLock.stderr)], [2, true]);
  const directory = await eds(['bucket', 'init', '--store-dir', '/nowhere']);
  assert.deepEqual([directory.exitCode, /give --s3-bucket/.test(directory.stderr)], [2, true]);
});
