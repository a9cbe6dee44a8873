/**
 * `helm test`: a signed record is accepted, the same again is told apart, and its object is locked.
 *
 * `test-record URL`, with the owner's DATABASE_URL, the auditor's AWS_* and, of the installation: SERVER_NAME for a service
 * that speaks TLS, CA_FILES (its CA where it is no public one) and LOCKED_BUCKET, PAYLOAD_LAYOUT, S3_ENDPOINT, S3_REGION
 * where objects are to be locked. The device `helm-test` is registered with a key for this run alone, revoked at the end.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { createRequire } from 'node:module';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { rootCertificates } from 'node:tls';

type Answer = { status: number | undefined; body: Record<string, unknown> };

const deviceId = 'helm-test';
const payload = 'helm test';
const timeoutMs = 10_000;
/** A pod takes up a new key within a second. */
const keyKnownMs = 5_000;
const pauseMs = 200;

const [url = ''] = process.argv.slice(2);
const { CA_FILES = '', SERVER_NAME, LOCKED_BUCKET, PAYLOAD_LAYOUT, S3_ENDPOINT, S3_REGION } = process.env;
const ca = CA_FILES.split(' ')
  .filter(existsSync)
  .map((path) => readFileSync(path, 'utf8'));
const { privateKey } = generateKeyPairSync('ed25519');
const { d = '', x = '' } = privateKey.export({ format: 'jwk' });
const [seed, publicKey] = [d, x].map((text) => Buffer.from(text, 'base64url').toString('hex'));

eds('device', 'register', deviceId, `--public-key=${publicKey}`, '--scheme=record-v2');
try {
  const head = await found(`/api/v1/devices/${deviceId}/head`);
  const sequence = BigInt(String(head.sequence)) + 1n;
  const objectRef = `${deviceId}/${sequence}`;
  const record = JSON.parse(
    eds(
      'sign-record',
      `--device-id=${deviceId}`,
      `--sequence=${sequence}`,
      `--payload=${payload}`,
      `--prev-hash-hex=${head.record_hash}`,
      `--object-ref=${objectRef}`,
      '--scheme=record-v2',
    ),
  );
  const envelope = JSON.stringify({ record, raw_payload_hex: Buffer.from(payload).toString('hex') });

  const accepted = await ask('POST', '/api/v1/ingest', envelope);
  assert.equal(accepted.status, 202, `record ${sequence} was not accepted: ${JSON.stringify(accepted.body)}`);
  console.log(`record ${sequence} of ${deviceId}: accepted, ${accepted.body.record_hash}`);

  const replayed = await ask('POST', '/api/v1/ingest', envelope);
  assert.deepEqual(
    { status: replayed.status, code: replayed.body.code, identical: replayed.body.identical },
    { status: 422, code: 'duplicate_record', identical: true },
  );
  console.log('the same again: refused as duplicate_record, identical');

  if (LOCKED_BUCKET) await objectIsLocked(LOCKED_BUCKET, PAYLOAD_LAYOUT === 'segment' ? 'segments/' : objectRef);
} finally {
  eds('device', 'revoke', deviceId, `--public-key=${publicKey}`);
}

function eds(...args: string[]): string {
  const env = { ...process.env, EDS_PRIVATE_KEY_HEX: seed, EDS_ACTOR: 'helm test' };
  return execFileSync(process.execPath, ['/app/src/main.ts', ...args], { env, encoding: 'utf8' });
}

/** Of a device that the pods have not heard of until just now. */
async function found(path: string): Promise<Record<string, unknown>> {
  for (const deadline = Date.now() + keyKnownMs; ; ) {
    const { status, body } = await ask('GET', path);
    if (status === 200) return body;
    if (status !== 404 || Date.now() > deadline)
      throw new Error(`${path}: ${status} ${JSON.stringify(body)}; on 403 this pod is no allowed source`);
    await sleep(pauseMs);
  }
}

async function ask(method: string, path: string, body = ''): Promise<Answer> {
  const request = url.startsWith('https:') ? httpsRequest : httpRequest;
  const sent = request(new URL(path, url), {
    method,
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    signal: AbortSignal.timeout(timeoutMs),
    ...(SERVER_NAME && { servername: SERVER_NAME, ca: [...rootCertificates, ...ca] }),
  }).end(body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return { status: response.statusCode, body: (await json(response)) as Record<string, unknown> };
}

/** The newest object under the prefix: a segment's name is not known here. */
async function objectIsLocked(bucket: string, prefix: string): Promise<void> {
  // The image's own, not this folder's.
  const { S3Client, ListObjectsV2Command, GetObjectRetentionCommand } =
    createRequire('/app/package.json')('@aws-sdk/client-s3');
  const s3 = new S3Client({
    ...(S3_ENDPOINT && { endpoint: S3_ENDPOINT }),
    ...(S3_REGION && { region: S3_REGION }),
    forcePathStyle: Boolean(S3_ENDPOINT),
  });
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix }));
  const newest = Contents.sort(
    (one: { LastModified: Date }, other: { LastModified: Date }) => +other.LastModified - +one.LastModified,
  )[0];
  assert.ok(newest, `bucket ${bucket} has no object under ${prefix}`);
  const { Retention } = await s3.send(new GetObjectRetentionCommand({ Bucket: bucket, Key: newest.Key }));
  assert.ok(Retention?.RetainUntilDate > new Date(), `object ${newest.Key} is not locked`);
  console.log(`object ${newest.Key}: locked until ${Retention.RetainUntilDate.toISOString()}, ${Retention.Mode}`);
}
