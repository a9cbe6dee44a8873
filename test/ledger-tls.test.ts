/** TLS to Postgres: a server of the test's own, with a certificate that the test makes. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { chown, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { query } from '../dev/database.ts';
import { migrate } from '../src/ledger/migrate.ts';
import { openPool } from '../src/ledger/pool.ts';
import { startOwnPostgres } from './support/postgres.ts';

const run = promisify(execFile);
const skip =
  spawnSync('openssl', ['version']).status === 0
    ? false
    : 'NO OPENSSL HERE: TLS to Postgres is NOT tested on this machine';

/** A certificate for the host name, that is its own authority. @returns the paths of both */
async function makeCertificate(folder: string, host: string): Promise<{ certificate: string; key: string }> {
  const [certificate, key] = [join(folder, `${host}.crt`), join(folder, `${host}.key`)];
  const subject = ['-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`];
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key];
  await run('openssl', ['req', '-x509', '-days', '1', ...newKey, ...subject, '-out', certificate]);
  return { certificate, key };
}

async function withTls(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'eds-tls-'));
  t.after(() => rm(folder, { recursive: true }));
  const postgres = await startOwnPostgres(t);
  const [shown] = await query(postgres.url(), 'SHOW data_directory');
  const data = String(shown?.data_directory);
  const { uid, gid } = await stat(data);
  return {
    folder,
    /** From now on the server is who this certificate says it is. */
    async present(certificate: { certificate: string; key: string }): Promise<void> {
      for (const [name, source] of [
        ['server.crt', certificate.certificate],
        ['server.key', certificate.key],
      ] as const) {
        await writeFile(join(data, name), await readFile(source), { mode: 0o600 });
        await chown(join(data, name), uid, gid);
      }
      await query(postgres.url(), 'ALTER SYSTEM SET ssl = on', 'SELECT pg_reload_conf()');
    },
    url(authority: string): string {
      const url = new URL(postgres.url());
      url.hostname = 'localhost';
      url.searchParams.set('sslmode', 'verify-full');
      url.searchParams.set('sslrootcert', authority);
      return url.href;
    },
  };
}

/** Through the service's own pool. @returns the TLS version, or the error */
async function connectedBy(databaseUrl: string): Promise<unknown> {
  const pool = openPool({ databaseUrl, connectionsMax: 1, applicationName: 'test' }, () => {});
  try {
    const { rows } = await pool.query('SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
    return rows[0]?.version;
  } finally {
    await pool.end();
  }
}

test('sslmode=verify-full encrypts, and refuses a server that another authority vouches for or that has another name', {
  skip,
}, async (t) => {
  const server = await withTls(t);
  const localhost = await makeCertificate(server.folder, 'localhost');
  const stranger = await makeCertificate(server.folder, 'db.example.org');
  await server.present(localhost);
  const right = server.url(localhost.certificate);
  assert.equal(await connectedBy(right), 'TLSv1.3');
  assert.ok((await migrate({ databaseUrl: right })) > 0);
  const byAddress = right.replace('@localhost', '@127.0.0.1');
  await assert.rejects(connectedBy(byAddress), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  const wrongAuthority = server.url(stranger.certificate);
  await assert.rejects(connectedBy(wrongAuthority), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
  await assert.rejects(migrate({ databaseUrl: wrongAuthority }), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
  await server.present(stranger);
  const wrongName = server.url(stranger.certificate);
  await assert.rejects(connectedBy(wrongName), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
});
