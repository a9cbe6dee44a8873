/** Who a client is, by its certificate, and that nobody passes on one that does not count. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { before, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import type { ConnectionRefusal } from '../src/transport/tcp/connection-refusal.ts';
import {
  answerTo,
  assertServed,
  credentials,
  openTlsPort,
  type Port,
  SwappableCertificates,
  tlsSocket,
  whoAmI,
} from './guarded-port.ts';
import { authority, type CertificateAuthority, hourMs, type Issued, selfSigned } from './support/certificates.ts';
import { answerDeadlineMs } from './support/raw-http.ts';

let devices: CertificateAuthority;
let device: Issued;

before(async () => {
  devices = await authority('Device CA');
  device = await devices.issue({ names: { cn: 'lift-01' } });
});

const trusting = async (crl?: string | string[]) =>
  new SwappableCertificates(await credentials({ ca: [devices.cert], ...(crl && { crl }) }));

async function assertRefused(port: Port, client: Issued | undefined, reason: ConnectionRefusal, error: RegExp) {
  const seen = port.refusals.length;
  const { status, text } = await answerTo(port, client);
  assert.deepEqual([status, JSON.parse(text).code], [400, 'bad_http']);
  assert.match(JSON.parse(text).error, error);
  assert.deepEqual(port.refusals.slice(seen), [reason]);
  assert.equal(port.addresses.at(-1), '127.0.0.1');
}

async function identitiesOf(port: Port, client: Issued | undefined): Promise<unknown> {
  const socket = await tlsSocket(port, client && { cert: client.cert, key: client.key });
  const { identities } = await whoAmI(socket);
  socket.destroy();
  return identities;
}

test('a certificate speaks for its URI and DNS names, and for its common name only without these', async () => {
  await using port = await openTlsPort({ clientAuth: 'required', certificates: await trusting() });
  const cases = [
    [{ cn: 'lift-01' }, ['lift-01']],
    [{ cn: 'lift-01', ip: ['192.0.2.7'] }, ['lift-01']],
    [{ cn: 'other', dns: ['lift-01.example'] }, ['lift-01.example']],
    [{ cn: 'other', uri: ['urn:dev:lift-01'], dns: ['lift-01', 'lift-02'] }, ['lift-01', 'lift-02', 'urn:dev:lift-01']],
    // CVE-2021-44532: names made to look like several.
    [{ uri: ['urn:x, DNS:lift-01'] }, ['urn:x, DNS:lift-01']],
    [{ uri: ['urn:"quoted" \\ \', URI:lift-01'] }, ['urn:"quoted" \\ \', URI:lift-01']],
    [{ cn: 'lift-01\nCN=lift-02' }, ['lift-01\nCN=lift-02']],
    [{}, []],
  ] as const;
  for (const [names, identities] of cases)
    assert.deepEqual(await identitiesOf(port, await devices.issue({ names })), identities, JSON.stringify(names));
  assert.deepEqual(port.refusals, []);
});

test('clients under an intermediate CA, with RSA, or with TLS 1.2 are known as well', async () => {
  await using port = await openTlsPort({ clientAuth: 'required', certificates: await trusting() });
  const site = await devices.intermediate('Site CA');
  assert.deepEqual(await identitiesOf(port, await site.issue({ names: { cn: 'lift-02' } })), ['lift-02']);
  const rsa = await devices.issue({ names: { cn: 'lift-03' }, keyType: 'rsa2048', usages: ['clientAuth'] });
  const socket = await tlsSocket(port, { cert: rsa.cert, key: rsa.key, maxVersion: 'TLSv1.2' });
  assert.deepEqual((await whoAmI(socket)).identities, ['lift-03']);
  socket.destroy();
});

for (const clientAuth of ['required', 'optional'] as const)
  test(`where a certificate is ${clientAuth}, a bad one is refused, and its client told why`, async () => {
    const revoked = await devices.issue({ names: { cn: 'lift-01' } });
    const crl = await devices.crl({ revoked: [revoked.serial] });
    await using port = await openTlsPort({ clientAuth, certificates: await trusting(crl) });
    const names = { cn: 'lift-01' };
    const hour = (hours: number) => new Date(Date.now() + hours * hourMs);
    const other = await authority('Other CA');

    const expired = await devices.issue({ names, notBefore: hour(-3), notAfter: hour(-2) });
    await assertRefused(port, expired, 'client_certificate_expired', /has expired/);
    const early = await devices.issue({ names, notBefore: hour(1), notAfter: hour(2) });
    await assertRefused(port, early, 'client_certificate_expired', /not valid yet/);
    await assertRefused(port, await selfSigned({ names }), 'client_certificate_untrusted', /not trusted here/);
    await assertRefused(port, await other.issue({ names }), 'client_certificate_untrusted', /not trusted here/);
    const server = await devices.issue({ names, usages: ['serverAuth'] });
    await assertRefused(port, server, 'client_certificate_untrusted', /not for clients/);
    await assertRefused(port, revoked, 'client_certificate_revoked', /revoked/);

    assert.deepEqual(await identitiesOf(port, device), ['lift-01']);
    if (clientAuth === 'required')
      await assertRefused(port, undefined, 'client_certificate_missing', /none was presented/);
    else assert.equal(await identitiesOf(port, undefined), undefined);
  });

test('without a current list of revocations nobody is taken for not revoked', async () => {
  const lastHour = { thisUpdate: new Date(Date.now() - 2 * hourMs), nextUpdate: new Date(Date.now() - hourMs) };
  const expired = await devices.crl({ revoked: [], ...lastHour });
  await using late = await openTlsPort({ clientAuth: 'required', certificates: await trusting(expired) });
  await assertRefused(late, device, 'crl_expired', /out of date/);

  const other = await (await authority('Other CA')).crl({ revoked: [] });
  await using missing = await openTlsPort({ clientAuth: 'required', certificates: await trusting(other) });
  await assertRefused(missing, device, 'client_certificate_untrusted', /no revocation list/);
});

test('with revocation lists, clients under an intermediate CA need its own list as well', async () => {
  const site = await devices.intermediate('Site CA');
  const [client, revoked] = [
    await site.issue({ names: { cn: 'lift-02' } }),
    await site.issue({ names: { cn: 'lift-03' } }),
  ];
  const root = await devices.crl({ revoked: [] });
  await using without = await openTlsPort({ clientAuth: 'required', certificates: await trusting([root]) });
  await assertRefused(without, client, 'client_certificate_untrusted', /no revocation list/);
  const both = [root, await site.crl({ revoked: [revoked.serial] })];
  await using port = await openTlsPort({ clientAuth: 'required', certificates: await trusting(both) });
  assert.deepEqual(await identitiesOf(port, client), ['lift-02']);
  await assertRefused(port, revoked, 'client_certificate_revoked', /revoked/);
});

test('without client authentication a certificate is not asked for and does not count', async () => {
  await using port = await openTlsPort();
  assert.equal(await identitiesOf(port, device), undefined);
});

test('asking for certificates without a CA is refused at start: the public CAs would be trusted', async () => {
  const certificates = new SwappableCertificates({ ...(await credentials()), ca: undefined });
  await assert.rejects(openTlsPort({ clientAuth: 'required', certificates }), /no CA is given/);
});

/** A session that the client could resume, if the server has offered one by the end of its first answer. */
async function sessionOf(port: Port, options: object): Promise<Buffer | undefined> {
  const socket = await tlsSocket(port, options);
  let session: Buffer | undefined;
  socket.on('session', (offered: Buffer) => {
    session = offered;
  });
  await whoAmI(socket);
  const offered = session ?? socket.getSession();
  socket.end();
  await once(socket, 'close', { signal: AbortSignal.timeout(answerDeadlineMs) });
  return offered;
}

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const)
  test(`${maxVersion}: a session from before a revocation lets nobody in after it`, async () => {
    const certificates = await trusting(await devices.crl({ revoked: [] }));
    await using port = await openTlsPort({ clientAuth: 'required', certificates });
    const { cert, key } = device;
    const session = await sessionOf(port, { cert, key, maxVersion });
    const resume = (): Promise<TLSSocket> => tlsSocket(port, { cert, key, maxVersion, ...(session && { session }) });

    const again = await resume();
    assert.equal(again.isSessionReused(), false, 'nothing is resumed where certificates count');
    await whoAmI(again);
    again.destroy();
    const { current } = certificates;
    certificates.swap({ ...current, crl: await devices.crl({ revoked: [device.serial] }) }, true);
    const revoked = await resume();
    revoked.on('error', () => {}).resume();
    await once(revoked, 'close', { signal: AbortSignal.timeout(answerDeadlineMs) });
    assert.deepEqual(port.refusals, ['client_certificate_revoked']);
  });

test('sessions are resumed where nobody is authenticated, so that the test above can fail', async () => {
  await using port = await openTlsPort();
  const session = await sessionOf(port, {});
  assert.ok(session);
  const socket = await tlsSocket(port, { session });
  assert.equal(socket.isSessionReused(), true);
  socket.destroy();
});

test('a change of trust retires the connections from before it; a new server certificate retires nobody', async () => {
  const certificates = await trusting();
  await using port = await openTlsPort({ clientAuth: 'required', certificates });
  const { cert, key } = device;
  const old = await tlsSocket(port, { cert, key });
  assert.equal((await whoAmI(old)).retired, false);

  const renewed = await credentials({ ca: [devices.cert] });
  certificates.swap(renewed, false);
  assert.equal((await whoAmI(old)).retired, false);
  const fresh = await tlsSocket(port, { cert, key });
  assert.notEqual(fresh.getPeerCertificate().serialNumber, old.getPeerCertificate().serialNumber);

  const other = await authority('Other CA');
  certificates.swap({ ...renewed, ca: [other.cert] }, true);
  assert.equal((await whoAmI(old)).retired, true);
  await once(old, 'close', { signal: AbortSignal.timeout(answerDeadlineMs) });
  assert.equal((await whoAmI(fresh)).retired, true);
  await assertRefused(port, device, 'client_certificate_untrusted', /not trusted here/);
  const successor = await other.issue({ names: { cn: 'lift-01' } });
  await assertServed(port, { cert: successor.cert, key: successor.key });
});
