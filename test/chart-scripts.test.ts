/** The scripts that the chart's Jobs run, against a real MinIO. Those that need a cluster run in the cluster's tests. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { chart } from './chart/helm.ts';
import { minioMissing, startMinio } from './support/minio.ts';

const run = promisify(execFile);
const script = (name: string) => join(chart, 'files', name);
const bucket = 'records';
const service = { accessKeyId: 'service-1', secretAccessKey: 's'.repeat(40) };
const auditor = { accessKeyId: 'auditor-1', secretAccessKey: 'a'.repeat(40) };

test('a break-in into a pod reaches no stored payload: its MinIO user may put and nothing else', async (t) => {
  await using minio = await startMinio();
  if (minio === undefined) return t.skip(minioMissing);
  await minio.makeBucket(bucket);
  const env = {
    ADMIN_ACCESS_KEY: minio.credentials.accessKeyId,
    ADMIN_SECRET_KEY: minio.credentials.secretAccessKey,
    SERVICE_ACCESS_KEY: service.accessKeyId,
    SERVICE_SECRET_KEY: service.secretAccessKey,
    AUDITOR_ACCESS_KEY: auditor.accessKeyId,
    AUDITOR_SECRET_KEY: auditor.secretAccessKey,
  };
  const makeUsers = () => run(process.execPath, [script('minio-users.mts'), minio.endpoint, bucket], { env });
  const { stdout } = await makeUsers();
  assert.equal((await makeUsers()).stdout, stdout, 'again changes nothing');
  assert.doesNotMatch(stdout, /ssss|aaaa/);

  const as = (credentials: typeof service) =>
    new S3Client({ endpoint: minio.endpoint, region: 'us-east-1', forcePathStyle: true, credentials });
  const [pod, reader] = [as(service), as(auditor)];
  const object = { Bucket: bucket, Key: 'lift-01/1' };
  const denied = { name: 'AccessDenied' };
  await pod.send(new PutObjectCommand({ ...object, Body: 'payload' }));
  await assert.rejects(pod.send(new GetObjectCommand(object)), denied);
  await assert.rejects(pod.send(new ListObjectsV2Command({ Bucket: bucket })), denied);
  const read = await reader.send(new GetObjectCommand(object));
  assert.equal(await read.Body?.transformToString(), 'payload');
  await assert.rejects(reader.send(new PutObjectCommand({ ...object, Body: 'other' })), denied);
});

test('a Job waits for a server that is still starting, and is told of one that is there', async (t) => {
  await using minio = await startMinio();
  if (minio === undefined) return t.skip(minioMissing);
  await minio.kill();
  const waiting = run(process.execPath, [script('wait-for.mts')], { env: { DATABASE_URL: minio.endpoint } });
  await minio.start();
  await waiting;
});
