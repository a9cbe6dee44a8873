import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { before, test } from 'node:test';
import {
  authority,
  CertificateAuthority,
  hourMs,
  type Issued,
  type KeyType,
  serverCertificate,
} from '../../../test/support/certificates.ts';
import { type ClientTrust, parseClientTrust, parseServerPair, type Refused, type ServerPair } from './material.ts';

const nowMs = Date.now();
const ago = (ms: number) => new Date(nowMs - ms);

type Contents = { cert: string; key: string; clientCa?: string; crl?: string };
type Material = ServerPair & ClientTrust & { readonly options: ServerPair['options'] & ClientTrust['options'] };

/** Both halves, as at start. */
function parse({ cert, key, clientCa, crl }: Contents, current?: Material, atMs = nowMs): Material | Refused {
  const optional = (flag: string, text: string | undefined) =>
    text === undefined ? undefined : { flag, file: 'file.pem', text };
  const pairTexts = {
    cert: { flag: '--tls-cert', file: 'tls.crt', text: cert },
    key: { flag: '--tls-key', file: 'tls.key', text: key },
  };
  const trustTexts = { clientCa: optional('--tls-client-ca', clientCa), crl: optional('--tls-client-crl', crl) };
  const pair = parseServerPair(pairTexts, atMs, current);
  const trust = parseClientTrust(trustTexts, atMs, current);
  if ('problems' in pair || 'problems' in trust)
    return { problems: [pair, trust].flatMap((half) => ('problems' in half ? half.problems : [])) };
  return { ...pair, ...trust, options: { ...pair.options, ...trust.options } };
}

function accepted(contents: Contents, current?: Material): Material {
  const parsed = parse(contents, current);
  assert.ok(!('problems' in parsed), 'problems' in parsed ? parsed.problems.join('\n') : '');
  return parsed;
}

function problems(contents: Contents, current?: Material): readonly string[] {
  const parsed = parse(contents, current);
  assert.ok('problems' in parsed, 'nothing was found wrong with it');
  return parsed.problems;
}

/** Of one problem, which has to match. */
function assertRefused(contents: Contents, wanted: RegExp, current?: Material): void {
  const found = problems(contents, current);
  assert.equal(found.length, 1, found.join('\n'));
  assert.match(found[0] ?? '', wanted);
}

let ca: CertificateAuthority;
let pair: Issued;
before(async () => {
  ca = await authority();
  pair = await serverCertificate();
});

test('RSA, ECDSA and Ed25519 keys are served', async () => {
  for (const keyType of ['rsa2048', 'p256', 'p384', 'ed25519'] satisfies KeyType[]) {
    const { cert, key, serial } = await serverCertificate({ keyType });
    assert.equal(accepted({ cert, key }).serial, serial);
  }
});

test('keys too weak or of a kind that clients do not share are refused with those that are served', async () => {
  for (const [keyType, wanted] of [
    ['rsa1024', /^--tls-key tls\.key: an RSA key of 1024 bits is too weak: make one of RSA with 2048 bits/],
    ['p521', /^--tls-key tls\.key: a key of type ec secp521r1 is not served/],
  ] as const) {
    assertRefused(await serverCertificate({ keyType }), wanted);
  }
});

test('a chain with its intermediates is presented as it is, and expires with the first of them', async () => {
  const soon = new Date(Math.floor(nowMs / 1000) * 1000 + hourMs);
  const intermediate = await ca.intermediate('Intermediate');
  const issued = await intermediate.issue({ names: { dns: ['localhost'] }, notAfter: soon });
  const material = accepted(issued);
  assert.equal(material.options.cert, issued.cert);
  assert.equal(material.expiresAtMs, soon.getTime());
  const outliving = await intermediate.issue({
    names: { dns: ['localhost'] },
    notAfter: new Date(nowMs + 999 * hourMs),
  });
  assert.ok(accepted(outliving).expiresAtMs < nowMs + 25 * hourMs, 'not as late as the leaf: its issuer ends before');
});

test('a chain in the wrong order is refused with what to put first', async () => {
  const intermediate = await ca.intermediate('Intermediate');
  const { cert, key } = await intermediate.issue({ names: { dns: ['localhost'] } });
  const leaf = cert.slice(0, -intermediate.cert.length);
  const [first, second] = problems({ cert: intermediate.cert + leaf, key });
  assert.match(first ?? '', /^--tls-cert tls\.crt: the key belongs to certificate 2: put the server's own first/);
  assert.match(second ?? '', /certificate 2 did not issue the one before it/);
  assertRefused({ cert: leaf + pair.cert, key }, /certificate 2 did not issue the one before it/);
});

test('a key of another certificate is refused', async () => {
  const { key } = await serverCertificate();
  assertRefused({ cert: pair.cert, key }, /the certificate and the key of --tls-key do not belong together$/);
});

test('an encrypted key is refused with the command that decrypts it', () => {
  const encrypted = createPrivateKey(pair.key).export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'secret',
  });
  const wanted = /^--tls-key tls\.key: the key is encrypted.*: openssl pkey -in tls\.key -out FILE$/;
  assertRefused({ cert: pair.cert, key: encrypted.toString() }, wanted);
  const legacy = createPrivateKey(pair.key)
    .export({ type: 'sec1', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' })
    .toString();
  assertRefused({ cert: pair.cert, key: legacy }, wanted);
});

test('a certificate that no client would take is refused: expired, not yet valid, not for servers', async () => {
  const expired = await serverCertificate({ notBefore: ago(2 * hourMs), notAfter: ago(hourMs) });
  assertRefused(expired, /the certificate has expired on \d{4}-\d\d-\d\dT.*: renew it$/);
  const early = await serverCertificate({ notBefore: ago(-hourMs) });
  assertRefused(early, /the certificate is valid only from \d{4}-\d\d-\d\dT.*: is the clock right\?$/);
  const client = await serverCertificate({ usages: ['clientAuth'] });
  assertRefused(client, /extended key usage is not for servers: have it issued with serverAuth$/);
});

test('everything that is wrong is told together, and nothing of a key is', () => {
  const secret = pair.key.split('\n')[1] ?? '';
  const found = problems({ cert: 'nonsense', key: pair.key.slice(0, 120), clientCa: '', crl: 'nonsense' });
  assert.deepEqual(
    found.map((text) => text.split(':')[0]),
    ['--tls-cert tls.crt', '--tls-key tls.key', '--tls-client-ca file.pem', '--tls-client-crl file.pem'],
  );
  assert.ok(secret.length > 20 && !found.join().includes(secret));
});

test('a file that was cut short is refused, wherever it was cut', async () => {
  const crl = await ca.crl({ revoked: [pair.serial] });
  const cut = (text: string) => text.slice(0, text.length / 2);
  assertRefused({ ...pair, cert: cut(pair.cert) }, /^--tls-cert .*certificate 1 does not parse/);
  assertRefused({ ...pair, clientCa: ca.cert + cut(ca.cert) }, /^--tls-client-ca .*certificate 2 does not parse/);
  assertRefused({ ...pair, clientCa: ca.cert, crl: crl + cut(crl) }, /^--tls-client-crl .*list 2 does not parse/);
});

test('client CAs of which none can vouch for a client are refused', async () => {
  assertRefused({ ...pair, clientCa: pair.cert }, /holds no certificate of an authority/);
  const late = parse({ ...pair, clientCa: ca.cert }, undefined, nowMs + 48 * hourMs);
  assert.ok('problems' in late && late.problems.some((text) => /every authority in it has expired/.test(text)));
});

test('every list of a revocation file counts, and every CA needs one', async () => {
  const intermediate = await ca.intermediate('Intermediate');
  const [ours, theirs] = [await ca.crl({ revoked: [] }), await intermediate.crl({ revoked: [pair.serial] })];
  const clientCa = ca.cert + intermediate.cert;
  const { options } = accepted({ ...pair, clientCa, crl: ours + theirs });
  assert.deepEqual(
    options.crl,
    [ours, theirs].map((text) => text.trimEnd()),
  );
  assertRefused({ ...pair, clientCa, crl: ours }, /^--tls-client-crl .*: has no list of CN=Intermediate: every CA/);
});

test('a revocation list that has expired is refused, with which one', async () => {
  const current = await ca.crl({ revoked: [] });
  const expired = await ca.crl({ revoked: [], thisUpdate: ago(2 * hourMs), nextUpdate: ago(hourMs) });
  const wanted = /^--tls-client-crl file\.pem: list 2 has expired on \d{4}-.*: fetch the current one$/;
  assertRefused({ ...pair, clientCa: ca.cert, crl: current + expired }, wanted);
  const lasting = await ca.crl({ revoked: [], nextUpdate: new Date('2077-01-01T00:00:00Z') });
  accepted({ ...pair, clientCa: ca.cert, crl: lasting });
});

test('a revocation list that is older than the one in use is refused: it would take revocations back', async () => {
  const clientCa = ca.cert;
  const old = await ca.crl({ revoked: [], thisUpdate: ago(3 * hourMs) });
  const current = accepted({ ...pair, clientCa, crl: await ca.crl({ revoked: [pair.serial] }) });
  assertRefused({ ...pair, clientCa, crl: old }, /^--tls-client-crl .*: a list of \d{4}-.* is older than/, current);
  accepted({ ...pair, clientCa, crl: old });
});

test('nothing older replaces what is in use; a restart takes it', async () => {
  const older = await serverCertificate({ notBefore: ago(3 * hourMs) });
  assertRefused(
    older,
    /older than the one in use .*was an earlier one put back\? A restart takes it all the same$/,
    accepted(pair),
  );
  accepted(older);
});

test('a list that is valid only later is refused: until then its clients could not be judged', async () => {
  const early = await ca.crl({ revoked: [], thisUpdate: ago(-hourMs), nextUpdate: ago(-2 * hourMs) });
  const contents = { ...pair, clientCa: ca.cert, crl: early };
  assertRefused(contents, /^--tls-client-crl .*: list 1 is valid only from \d{4}-\d\d-\d\dT.*: is the clock right\?$/);
  assert.ok(!('problems' in parse(contents, undefined, nowMs + hourMs + 60_000)));
});

/** What is `wanted` in the DER becomes another text of the same length. */
function patched(pem: string, wanted: string, text: string): string {
  const der = Buffer.from(pem.replaceAll(/-----[^-]*-----|\s/g, ''), 'base64');
  const at = der.indexOf(wanted, 0, 'latin1');
  assert.ok(at >= 0 && wanted.length === text.length);
  der.write(text, at, 'latin1');
  const [, label] = /-----BEGIN ([^-]+)-----/.exec(pem) ?? [];
  return `-----BEGIN ${label}-----\n${der.toString('base64')}\n-----END ${label}-----\n`;
}

test('a list that was damaged, or made by another CA of the same name, is refused: it would lock everybody out', async () => {
  const wanted = /^--tls-client-crl .*: list 1 is not signed with the key of CN=Test CA: it was damaged, or another CA/;
  const namesake = await CertificateAuthority.root('Test CA', 'p256');
  assertRefused({ ...pair, clientCa: ca.cert, crl: await namesake.crl({ revoked: [] }) }, wanted);
  const otherType = await CertificateAuthority.root('Test CA', 'ed25519');
  assertRefused({ ...pair, clientCa: ca.cert, crl: await otherType.crl({ revoked: [] }) }, wanted);
  const damaged = patched(await ca.crl({ revoked: ['4142434445464748'] }), 'ABCDEFGH', 'ABCDEFGI');
  assertRefused({ ...pair, clientCa: ca.cert, crl: damaged }, wanted);
  accepted({
    ...pair,
    clientCa: ca.cert + namesake.cert,
    crl: (await ca.crl({ revoked: [] })) + (await namesake.crl({ revoked: [] })),
  });
});

test('lists of RSA, ECDSA and Ed25519 authorities are taken', async () => {
  for (const keyType of ['rsa2048', 'p256', 'p384', 'p521', 'ed25519'] satisfies KeyType[]) {
    const signer = await authority(`CA with ${keyType}`, keyType);
    accepted({ ...pair, clientCa: signer.cert, crl: await signer.crl({ revoked: [pair.serial] }) });
  }
});

test('a certificate with a date that is none is refused: no comparison would say that it has expired', async () => {
  const notAfter = new Date('2040-06-15T00:00:00Z');
  const { cert, key } = await serverCertificate({ notAfter });
  const wanted = /certificate 1 is valid from or to a date that is none: have it issued anew$/;
  assertRefused({ cert: patched(cert, '400615', '409915'), key }, wanted);
});
