import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { authority, hourMs, type Issued, serverCertificate } from '../../../test/support/certificates.ts';
import { MountedSecret } from '../../../test/support/mounted-secret.ts';
import type { CertificateFiles } from './certificate-files.ts';
import { type CertificateSwap, openCertificates } from './certificates.ts';
import type { FileWatchTimes } from './file-watch.ts';

/** Of an event that is bound to come; a loaded machine may take its time. */
const deadlineMs = 20_000;
/** So that the watcher alone, or the poll alone, is what finds a change. */
const never = 10 * 60_000;
const watching: FileWatchTimes = { pollMs: never, settleMs: 20 };
const polling: FileWatchTimes = { pollMs: 10, settleMs: 5 };

/** Certificates, and what their observer and listeners are told. */
async function open(files: CertificateFiles, times: FileWatchTimes) {
  const events = new EventEmitter();
  const told: string[] = [];
  const clock = { aheadMs: 0 };
  const certificates = await openCertificates(files, {
    observer: {
      swapped: ({ serial, trustChanged }) => {
        told.push(`swapped ${serial}${trustChanged ? ', trust changed' : ''}`);
        events.emit('swapped');
      },
      refused: (reason) => {
        told.push(`refused ${reason}`);
        events.emit('refused');
      },
    },
    now: () => {
      events.emit('look');
      return Date.now() + clock.aheadMs;
    },
    times,
  });
  const next = (event: 'swapped' | 'refused' | 'look') =>
    once(events, event, { signal: AbortSignal.timeout(deadlineMs) });
  return { certificates, told, next, clock };
}

const secretOf = ({ cert, key }: Issued, more: Readonly<Record<string, string>> = {}) => ({
  'tls.crt': cert,
  'tls.key': key,
  ...more,
});

async function mount(t: TestContext, pair: Issued, more: Readonly<Record<string, string>> = {}) {
  const secret = await MountedSecret.create(t, secretOf(pair, more));
  const files = { certFile: secret.path('tls.crt'), keyFile: secret.path('tls.key') };
  return { secret, files };
}

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'eds-certificates-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test('the files of a Secret that kubelet swaps are taken up at once, without waiting for the poll', async (t) => {
  const [first, second] = [await serverCertificate(), await serverCertificate()];
  const { secret, files } = await mount(t, first);
  const { certificates, told, next } = await open(files, watching);
  await using _ = certificates;
  const swaps: CertificateSwap[] = [];
  certificates.onSwap((swap) => swaps.push(swap));
  assert.equal(certificates.serial, first.serial);
  const swapped = next('swapped');
  await secret.update(secretOf(second));
  await swapped;
  assert.equal(certificates.serial, second.serial);
  assert.deepEqual(certificates.current, { cert: second.cert, key: second.key });
  assert.deepEqual(told, [`swapped ${second.serial}`]);
  assert.deepEqual(swaps, [{ serial: second.serial, expiresAtMs: certificates.expiresAtMs, trustChanged: false }]);
});

test('links that certbot sets one after the other are taken up together: half of a change is not told as a fault', async (t) => {
  const [first, second] = [await serverCertificate(), await serverCertificate()];
  const [live, archive] = [await temporaryFolder(t), await temporaryFolder(t)];
  const write = async (version: number, { cert, key }: Issued) => {
    for (const [name, text] of Object.entries({ fullchain: cert, privkey: key })) {
      const file = join(archive, `${name}${version}.pem`);
      await writeFile(file, text);
      await symlink(file, join(live, `${name}.new`));
      await rename(join(live, `${name}.new`), join(live, `${name}.pem`));
    }
  };
  await write(1, first);
  const files = { certFile: join(live, 'fullchain.pem'), keyFile: join(live, 'privkey.pem') };
  const { certificates, told, next } = await open(files, { ...watching, settleMs: 500 });
  await using _ = certificates;
  const swapped = next('swapped');
  await write(2, second);
  await swapped;
  assert.deepEqual(told, [`swapped ${second.serial}`]);
});

test('a half that stays for one look is not told either; the whole that follows is taken up', async (t) => {
  const [first, second] = [await serverCertificate(), await serverCertificate()];
  const { secret, files } = await mount(t, first);
  const { certificates, told, next } = await open(files, { pollMs: never, settleMs: 500 });
  await using _ = certificates;
  const looked = next('look');
  await secret.update({ 'tls.crt': second.cert, 'tls.key': first.key });
  await looked;
  const swapped = next('swapped');
  await secret.update(secretOf(second));
  await swapped;
  assert.deepEqual(told, [`swapped ${second.serial}`]);
});

test('files that change where no watcher sees it are found by the poll', async (t) => {
  const [first, second] = [await serverCertificate(), await serverCertificate()];
  const { secret } = await mount(t, first);
  const aside = await temporaryFolder(t);
  const files = { certFile: join(aside, 'cert.pem'), keyFile: join(aside, 'key.pem') };
  await symlink(secret.path('tls.crt'), files.certFile);
  await symlink(secret.path('tls.key'), files.keyFile);
  const { certificates, told, next } = await open(files, polling);
  await using _ = certificates;
  const swapped = next('swapped');
  await secret.update(secretOf(second));
  await swapped;
  assert.deepEqual(told, [`swapped ${second.serial}`]);
});

test('a broken pair is refused once, not at every look, and the good one stays until another comes', async (t) => {
  const [first, second] = [await serverCertificate(), await serverCertificate()];
  const { secret, files } = await mount(t, first);
  const { certificates, told, next } = await open(files, polling);
  await using _ = certificates;

  const refused = next('refused');
  await secret.update({ 'tls.crt': second.cert, 'tls.key': first.key });
  await refused;
  for (let looks = 0; looks < 5; looks++) await next('look');
  assert.equal(certificates.serial, first.serial);
  assert.deepEqual(certificates.current, { cert: first.cert, key: first.key });

  const refusedAgain = next('refused');
  await secret.update({ 'tls.crt': 'nonsense', 'tls.key': second.key });
  await refusedAgain;
  assert.equal(certificates.serial, first.serial);

  const swapped = next('swapped');
  await secret.update(secretOf(second));
  await swapped;
  assert.deepEqual(told, [
    `refused --tls-cert ${files.certFile}: the certificate and the key of --tls-key do not belong together`,
    `refused --tls-cert ${files.certFile}: holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)`,
    `swapped ${second.serial}`,
  ]);
});

test('files that vanish are told, and nothing stops', async (t) => {
  const pair = await serverCertificate();
  const { files } = await mount(t, pair);
  const { certificates, told, next } = await open(files, watching);
  await using _ = certificates;
  const refused = next('refused');
  await rm(files.keyFile);
  await refused;
  assert.deepEqual(told, [`refused --tls-key ${files.keyFile}: there is no such file`]);
  assert.equal(certificates.serial, pair.serial);
});

test('a certificate that is not valid yet is taken up when its time comes, without another change of the files', async (t) => {
  const early = await serverCertificate({ notBefore: new Date(Date.now() + hourMs) });
  const { secret, files } = await mount(t, await serverCertificate());
  const { certificates, told, next, clock } = await open(files, polling);
  await using _ = certificates;
  const refused = next('refused');
  await secret.update(secretOf(early));
  await refused;
  const swapped = next('swapped');
  clock.aheadMs = 2 * hourMs;
  await swapped;
  assert.equal(certificates.serial, early.serial);
  assert.match(told[0] ?? '', /valid only from/);
});

test('a revocation list that changes is a swap of trust; a renewed pair is none', async (t) => {
  const ca = await authority();
  const [first, second] = [await serverCertificate(), await serverCertificate()];
  const trust = { 'ca.crt': ca.cert, 'ca.crl': await ca.crl({ revoked: [] }) };
  const { secret, files } = await mount(t, first, trust);
  const clients = { clientCaFile: secret.path('ca.crt'), crlFile: secret.path('ca.crl') };
  const { certificates, told } = await open({ ...files, ...clients }, { pollMs: never, settleMs: never });
  await using _ = certificates;
  await secret.update(secretOf(second, trust));
  assert.equal(await certificates.reload(), 'swapped');
  await secret.update(secretOf(second, { ...trust, 'ca.crl': await ca.crl({ revoked: [first.serial] }) }));
  assert.equal(await certificates.reload(), 'swapped');
  assert.deepEqual(told, [`swapped ${second.serial}`, `swapped ${second.serial}, trust changed`]);
});

/** Certificates that judge clients, looked at only when asked. */
async function openTrusting(t: TestContext, pair: Issued) {
  const ca = await authority();
  const trust = { 'ca.crt': ca.cert, 'ca.crl': await ca.crl({ revoked: [] }) };
  const { secret, files } = await mount(t, pair, trust);
  const clients = { clientCaFile: secret.path('ca.crt'), crlFile: secret.path('ca.crl') };
  const opened = await open({ ...files, ...clients }, { pollMs: never, settleMs: never });
  return { ca, trust, secret, ...opened };
}

test('a revocation is taken up beside a certificate that has expired, and a renewal beside a list that has', async (t) => {
  const lastHour = { notBefore: new Date(Date.now() - 2 * hourMs), notAfter: new Date(Date.now() - hourMs) };
  const [first, second] = [await serverCertificate(), await serverCertificate()];
  const { ca, trust, secret, certificates, told } = await openTrusting(t, first);
  await using _ = certificates;
  const revoking = await ca.crl({ revoked: [second.serial] });
  await secret.update(secretOf(await serverCertificate(lastHour), { ...trust, 'ca.crl': revoking }));
  assert.equal(await certificates.reload(), 'refused');
  assert.deepEqual(certificates.current.crl, [revoking.trimEnd()]);
  assert.equal(certificates.current.cert, first.cert);

  const expired = await ca.crl({ revoked: [], thisUpdate: lastHour.notBefore, nextUpdate: lastHour.notAfter });
  await secret.update(secretOf(second, { ...trust, 'ca.crl': expired }));
  assert.equal(await certificates.reload(), 'refused');
  assert.equal(certificates.current.cert, second.cert);
  assert.deepEqual(certificates.current.crl, [revoking.trimEnd()]);
  assert.deepEqual(
    told.map((text) => text.replace(/^(refused \S+)[\s\S]*?(has expired)[\s\S]*/, '$1 $2')),
    [
      `swapped ${first.serial}, trust changed`,
      'refused --tls-cert has expired',
      `swapped ${second.serial}`,
      'refused --tls-client-crl has expired',
    ],
  );
});

test('a list of a CA whose clock is ahead is refused, and neither its time nor its correction is missed', async (t) => {
  const pair = await serverCertificate();
  const { ca, trust, secret, certificates, clock } = await openTrusting(t, pair);
  await using _ = certificates;
  const ahead = new Date(Date.now() + hourMs);
  const early = await ca.crl({ revoked: [], thisUpdate: ahead });
  await secret.update(secretOf(pair, { ...trust, 'ca.crl': early }));
  assert.equal(await certificates.reload(), 'refused');
  assert.deepEqual(certificates.current.crl, [trust['ca.crl'].trimEnd()]);
  await secret.update(secretOf(pair, { ...trust, 'ca.crl': await ca.crl({ revoked: [pair.serial] }) }));
  assert.equal(await certificates.reload(), 'swapped');
  await secret.update(secretOf(pair, { ...trust, 'ca.crl': early }));
  clock.aheadMs = 2 * hourMs;
  assert.equal(await certificates.reload(), 'swapped');
});

test('a listener that throws is told of, and neither ends the process nor the looks that follow', async (t) => {
  const [first, second, third] = [await serverCertificate(), await serverCertificate(), await serverCertificate()];
  const { secret, files } = await mount(t, first);
  const { certificates, told, next } = await open(files, watching);
  await using _ = certificates;
  let faults = 0;
  certificates.onSwap(() => {
    if (++faults === 1) throw new TypeError('a secret');
  });
  const refused = next('refused');
  await secret.update(secretOf(second));
  await refused;
  const swapped = next('swapped');
  await secret.update(secretOf(third));
  await swapped;
  assert.deepEqual(told, ['refused the new certificates cannot be served with (TypeError)', `swapped ${third.serial}`]);
});

test('whoever asks for a reload is told what came of it, every time', async (t) => {
  const [first, second] = [await serverCertificate(), await serverCertificate()];
  const { secret, files } = await mount(t, first);
  const { certificates, told } = await open(files, { pollMs: never, settleMs: never });
  await using _ = certificates;
  assert.equal(await certificates.reload(), 'unchanged');
  await secret.update({ 'tls.crt': second.cert, 'tls.key': first.key });
  assert.deepEqual(await Promise.all([certificates.reload(), certificates.reload()]), ['refused', 'refused']);
  await secret.update(secretOf(first));
  assert.equal(await certificates.reload(), 'unchanged');
  await secret.update(secretOf(second));
  assert.equal(await certificates.reload(), 'swapped');
  assert.equal(told.length, 3);
});

test('a Secret put back to an earlier certificate is refused; one in use that expires goes on', async (t) => {
  const old = await serverCertificate({ notBefore: new Date(Date.now() - 5 * hourMs) });
  const pair = await serverCertificate();
  const { secret, files } = await mount(t, pair);
  const { certificates, told, clock } = await open(files, { pollMs: never, settleMs: never });
  await using _ = certificates;
  clock.aheadMs = 48 * hourMs;
  assert.equal(await certificates.reload(), 'unchanged');
  clock.aheadMs = 0;
  await secret.update(secretOf(old));
  assert.equal(await certificates.reload(), 'refused');
  assert.match(told[0] ?? '', /older than the one in use/);
  assert.equal(certificates.serial, pair.serial);
});

test('a pipe as a file is refused at once, where reading it would wait for a writer that never comes', async (t) => {
  const { cert } = await serverCertificate();
  const folder = await temporaryFolder(t);
  const files = { certFile: join(folder, 'tls.crt'), keyFile: join(folder, 'tls.key') };
  await writeFile(files.certFile, cert);
  await promisify(execFile)('mkfifo', [files.keyFile]);
  await assert.rejects(open(files, watching), { message: `--tls-key ${files.keyFile}: not a regular file` });
});

test('nothing opens with files that cannot be served with: each is named', async (t) => {
  const folder = await temporaryFolder(t);
  const files = { certFile: join(folder, 'tls.crt'), keyFile: folder, clientCaFile: join(folder, 'ca.crt') };
  await assert.rejects(open(files, watching), {
    message: [
      `--tls-cert ${files.certFile}: there is no such file`,
      `--tls-key ${folder}: not a regular file`,
      `--tls-client-ca ${files.clientCaFile}: there is no such file`,
    ].join('\n'),
  });
});
