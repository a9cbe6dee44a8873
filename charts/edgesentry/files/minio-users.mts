/**
 * Makes MinIO's users with what each may do: `minio-users ENDPOINT BUCKET`. Their keys, and those of the administrator, come
 * from ADMIN_, SERVICE_ and AUDITOR_ACCESS_KEY and _SECRET_KEY. Again changes nothing. Speaks MinIO's admin API, version 3.
 */
import { createCipheriv, createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

type Keys = { readonly access: string; readonly secret: string };

/** A first installation fetches MinIO's image and makes its volume. */
const deadlineMs = 600_000;
const pauseMs = 1_000;
const timeoutMs = 10_000;

const [endpoint = '', bucket = ''] = process.argv.slice(2);
const admin = keysOf('ADMIN');
const objects = `arn:aws:s3:::${bucket}/*`;
const statements = {
  service: [{ Effect: 'Allow', Action: ['s3:PutObject'], Resource: [objects] }],
  auditor: [
    { Effect: 'Allow', Action: ['s3:GetObject', 's3:GetObjectRetention'], Resource: [objects] },
    { Effect: 'Allow', Action: ['s3:ListBucket'], Resource: [`arn:aws:s3:::${bucket}`] },
  ],
};

await started();
for (const [role, statement] of Object.entries(statements)) {
  const { access, secret } = keysOf(role.toUpperCase());
  const policy = `edgesentry-${role}`;
  await put('add-canned-policy', { name: policy }, JSON.stringify({ Version: '2012-10-17', Statement: statement }));
  const user = JSON.stringify({ secretKey: secret, status: 'enabled' });
  await put('add-user', { accessKey: access }, encrypted(user, admin.secret));
  await put('set-user-or-group-policy', { isGroup: 'false', policyName: policy, userOrGroup: access }, '');
  console.log(`user ${access}: ${statement.flatMap(({ Action }) => Action).join(', ')}`);
}

function keysOf(prefix: string): Keys {
  const { [`${prefix}_ACCESS_KEY`]: access, [`${prefix}_SECRET_KEY`]: secret } = process.env;
  if (!access || !secret) throw new Error(`${prefix}_ACCESS_KEY and ${prefix}_SECRET_KEY must be set`);
  return { access, secret };
}

async function started(): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    const response = await fetch(`${endpoint}/minio/health/ready`, { signal: AbortSignal.timeout(timeoutMs) }).catch(
      (error: Error) => error,
    );
    if (response instanceof Response && response.ok) return;
    if (Date.now() > deadline) throw new Error(`MinIO is not ready at ${endpoint}`, { cause: response });
    await sleep(pauseMs);
  }
}

/** @param query its names in alphabetical order, as the signature wants them */
async function put(call: string, query: Record<string, string>, body: Buffer<ArrayBuffer> | string): Promise<void> {
  const url = new URL(`/minio/admin/v3/${call}?${new URLSearchParams(query)}`, endpoint);
  const signal = AbortSignal.timeout(timeoutMs);
  const response = await fetch(url, { method: 'PUT', headers: signed(url, body, new Date()), body, signal });
  if (!response.ok) throw new Error(`${call}: ${response.status} ${await response.text()}`);
}

/** AWS Signature Version 4 of a PUT, by the administrator. */
function signed(url: URL, body: Buffer | string, now: Date): Record<string, string> {
  const time = now.toISOString().replace(/[-:]|\.\d+/g, '');
  const scope = `${time.slice(0, 8)}/us-east-1/s3/aws4_request`;
  const bodyHash = sha256(body);
  const names = 'host;x-amz-content-sha256;x-amz-date';
  const canonical = [
    'PUT',
    url.pathname,
    url.search.slice(1),
    `host:${url.host}\nx-amz-content-sha256:${bodyHash}\nx-amz-date:${time}\n`,
    names,
    bodyHash,
  ].join('\n');
  const key = scope.split('/').reduce<Buffer | string>((last, part) => hmac(last, part), `AWS4${admin.secret}`);
  const signature = hmac(key, `AWS4-HMAC-SHA256\n${time}\n${scope}\n${sha256(canonical)}`).toString('hex');
  return {
    'x-amz-content-sha256': bodyHash,
    'x-amz-date': time,
    authorization: `AWS4-HMAC-SHA256 Credential=${admin.access}/${scope}, SignedHeaders=${names}, Signature=${signature}`,
  };
}

/**
 * As the admin API wants a body with a secret: salt (32), cipher id (1), nonce (8), then a stream of AES-256-GCM fragments
 * under a key derived by PBKDF2. A user fits into one fragment, the last: number 1, marked 0x80, and bound to the tag of an
 * empty fragment 0.
 */
function encrypted(text: string, password: string): Buffer<ArrayBuffer> {
  const pbkdf2AesGcm = 2;
  const salt = randomBytes(32);
  const nonce = randomBytes(8);
  const key = pbkdf2Sync(password, salt, 8192, 32, 'sha256');
  const start = seal(key, nonce, 0, Buffer.alloc(0), Buffer.alloc(0));
  const last = seal(key, nonce, 1, Buffer.concat([Buffer.of(0x80), start]), Buffer.from(text));
  return Buffer.concat([salt, Buffer.of(pbkdf2AesGcm), nonce, last]);
}

function seal(key: Buffer, nonce: Buffer, number: number, associated: Buffer, text: Buffer): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, Buffer.concat([nonce, Buffer.of(number, 0, 0, 0)]));
  cipher.setAAD(associated);
  return Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()]);
}

function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function sha256(bytes: Buffer | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}
