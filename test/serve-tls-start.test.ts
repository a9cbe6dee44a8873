/** `eds serve-tls` that cannot begin as it was meant: it says why, and does not serve with less. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { serverCertificate } from './support/certificates.ts';
import { eds } from './support/command-line.ts';
import { MountedSecret } from './support/mounted-secret.ts';
import { createTestDatabase } from './support/postgres.ts';

const main = join(import.meta.dirname, '../src/main.ts');
/** It ends within two seconds here; a loaded machine may need many times that. */
const startDeadlineMs = 30_000;
const nobody = 'postgres://nobody@127.0.0.1:1/none';
const ports = ['--addr=127.0.0.1:0', '--ops-addr=127.0.0.1:0'];
const pair = ['--tls-cert=tls.crt', '--tls-key=tls.key'];

test('what would authenticate nobody, or everybody, is a wrong command line', async () => {
  for (const [flags, says] of [
    [['--tls-cert=tls.crt'], /--tls-key/],
    [[...pair, '--tls-client-auth=required'], /--tls-client-auth needs --tls-client-ca/],
    [[...pair, '--tls-client-crl=ca.crl'], /--tls-client-crl needs --tls-client-ca/],
    [[...pair, '--tls-client-ca=ca.crt', '--tls-client-auth=none'], /--tls-client-auth.*required.*optional/],
  ] as const) {
    const { exitCode, stdout, stderr } = await eds([
      'serve-tls',
      ...ports,
      '--store-dir=unused',
      `--database-url=${nobody}`,
      ...flags,
    ]);
    assert.deepEqual([exitCode, stdout], [2, ''], stderr);
    assert.match(stderr, says);
  }
});

/** A process of its own: it must end, and not only say so. */
async function start(t: TestContext) {
  const { url: databaseUrl } = await createTestDatabase(t);
  const { cert, key } = await serverCertificate();
  const secret = await MountedSecret.create(t, { 'tls.crt': cert, 'tls.key': key, 'ca.crt': '' });
  const files = [`--tls-cert=${secret.path('tls.crt')}`, `--tls-key=${secret.path('tls.key')}`];
  const args = [...ports, `--store-dir=${secret.path('payloads')}`, '--log-level=silent', ...files];
  const options = { env: { DATABASE_URL: databaseUrl }, timeout: startDeadlineMs };
  return {
    secret,
    run: (...more: string[]) => promisify(execFile)(process.execPath, [main, 'serve-tls', ...args, ...more], options),
  };
}

test('an encrypted key, and a CA file that holds none, end the service at once, with the file and the way out', async (t) => {
  const { secret, run } = await start(t);
  const withoutCa = /^eds serve-tls: --tls-client-ca \S+ca\.crt: /;
  await assert.rejects(run(`--tls-client-ca=${secret.path('ca.crt')}`), { code: 1, stdout: '', stderr: withoutCa });

  const encrypted = '-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n';
  await writeFile(secret.path('tls.key'), encrypted);
  const decrypt = /^eds serve-tls: --tls-key \S+tls\.key: (?!.*MIIB).*encrypted.*openssl/;
  await assert.rejects(run(), { code: 1, stdout: '', stderr: decrypt });
});
