/**
 * Gives a Secret a random key pair for each name, once: `fill-secret NAMESPACE SECRET NAME...` makes `NAME-access-key` and
 * `NAME-secret-key`. What is there stays. Needs `get` and `patch` on that one Secret.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';

type Secret = { metadata: { resourceVersion: string }; data?: Record<string, string> };

const timeoutMs = 10_000;
const [namespace, name, ...users] = process.argv.slice(2);
const url = `https://kubernetes.default.svc/api/v1/namespaces/${namespace}/secrets/${name}`;
const token = await readFile('/var/run/secrets/kubernetes.io/serviceaccount/token', 'utf8');

const { metadata, data = {} } = await ask<Secret>('GET');
const missing = users.filter((user) => !(`${user}-secret-key` in data));
if (missing.length > 0) {
  const entries = missing.flatMap((user) => [
    [`${user}-access-key`, base64(`${user}-${randomBytes(4).toString('hex')}`)],
    // 40 characters: the longest that MinIO takes of a user.
    [`${user}-secret-key`, base64(randomBytes(20).toString('hex'))],
  ]);
  // With the version that was read: of two Jobs at once one is refused, tries again and finds it done.
  const { resourceVersion } = metadata;
  await ask('PATCH', { metadata: { resourceVersion }, data: Object.fromEntries(entries) });
}
console.log(`${name}: ${missing.length > 0 ? `made keys for ${missing.join(', ')}` : 'has its keys'}`);

async function ask<T>(method: string, patch?: object): Promise<T> {
  const response = await fetch(url, {
    method,
    headers: { authorization: `Bearer ${token.trim()}`, 'content-type': 'application/merge-patch+json' },
    ...(patch && { body: JSON.stringify(patch) }),
    signal: AbortSignal.timeout(timeoutMs),
  });
  // Never the body: it holds the keys.
  if (!response.ok) throw new Error(`${method} of Secret ${name}: ${response.status} ${response.statusText}`);
  return (await response.json()) as T;
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
