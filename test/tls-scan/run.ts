/**
 * `node test/tls-scan/run.ts SSLYZE`: what an outside scanner says of `eds serve-tls`, with each kind of certificate and with
 * client certificates; and of a listener that allows everything, or the scanner's praise would be worth nothing. Exit code 1
 * when anything is not as expected. SSLYZE is that of requirements.txt beside this file.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres } from '../../dev/embedded-postgres.ts';
import { migrate } from '../../src/ledger/migrate.ts';
import { authority, type Issued, serverCertificate } from '../support/certificates.ts';
import { type Expected, judge, missedIn } from './expectations.ts';
import { startCarelessListener, startServeTls } from './listeners.ts';
import { type ScanTarget, scan } from './sslyze.ts';

const [sslyze] = process.argv.slice(2);
if (sslyze === undefined) {
  console.error('usage: node test/tls-scan/run.ts SSLYZE');
  process.exit(2);
}

const folder = await mkdtemp(join(tmpdir(), 'eds-tls-scan-'));
await using cleanup = new AsyncDisposableStack();
cleanup.defer(() => rm(folder, { recursive: true, force: true }));
const postgres = cleanup.use(
  await startPostgres({ dataDirectory: join(folder, 'postgres'), durable: false, persistent: false }),
);
await migrate({ databaseUrl: postgres.url() });

async function save(name: string, text: string): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, text, { mode: 0o600 });
  return file;
}

async function savePair(name: string, { cert, key }: Issued): Promise<{ certFile: string; keyFile: string }> {
  return { certFile: await save(`${name}.crt`, cert), keyFile: await save(`${name}.key`, key) };
}

const serverCa = await save('server-ca.crt', (await authority()).cert);
const clientAuthority = await authority('Client CA');
const clientCa = await save('client-ca.crt', clientAuthority.cert);
const scanner = await savePair(
  'client',
  await clientAuthority.issue({ names: { cn: 'scanner' }, usages: ['clientAuth'] }),
);

const ecdsa = await savePair('ecdsa', await serverCertificate({ keyType: 'p256' }));
const rsa = await savePair('rsa', await serverCertificate({ keyType: 'rsa2048' }));

type Case = {
  readonly name: string;
  readonly pair: { readonly certFile: string; readonly keyFile: string };
  readonly flags?: readonly string[];
  readonly client?: NonNullable<ScanTarget['client']>;
  readonly expected: Expected;
};
const open: Expected = { clientAuth: 'DISABLED', resumption: 'by ticket' };
const required = [`--tls-client-ca=${clientCa}`, '--tls-client-auth=required'];
const cases: readonly Case[] = [
  { name: 'with an ECDSA certificate', pair: ecdsa, expected: open },
  { name: 'with an RSA certificate', pair: rsa, expected: open },
  {
    name: 'with client certificates required, to a stranger',
    pair: ecdsa,
    flags: required,
    // The handshake lets a client without one through, to be told in HTTP that it needs one, and nothing else.
    expected: { clientAuth: 'OPTIONAL', resumption: 'none' },
  },
  {
    name: 'with client certificates required, to a client that has one',
    pair: ecdsa,
    flags: required,
    client: scanner,
    // A session that is resumed would outlive the revocation of its client's certificate.
    expected: { clientAuth: undefined, resumption: 'none' },
  },
];

let failed = false;
for (const { name, pair, flags = [], client, expected } of cases) {
  const startMs = performance.now();
  const files = [`--tls-cert=${pair.certFile}`, `--tls-key=${pair.keyFile}`];
  const store = `--store-dir=${join(folder, 'payloads')}`;
  await using listener = await startServeTls(postgres.url(), [store, ...files, ...flags]);
  const target = { port: listener.port, caFile: serverCa, ...(client && { client }) };
  const outcomes = judge(await scan(sslyze, target, folder), expected);
  console.log(`\neds serve-tls ${name} (${((performance.now() - startMs) / 1000).toFixed(1)} s)`);
  for (const { what, faults } of outcomes) {
    console.log(`  ${faults.length === 0 ? 'ok    ' : 'FAILED'}  ${what}`);
    for (const fault of faults) console.log(`            ${fault}`);
    failed ||= faults.length > 0;
  }
}

await using careless = await startCarelessListener(await serverCertificate({ keyType: 'rsa2048' }));
const missed = missedIn(judge(await scan(sslyze, { port: careless.port, caFile: serverCa }, folder), open));
console.log('\na listener that allows everything');
if (missed.length === 0) console.log('  ok      is found to be not compliant');
for (const what of missed) console.log(`  FAILED  the scan did not see that it has not: ${what}`);
failed ||= missed.length > 0;

console.log(failed ? '\nTLS scan: FAILED' : '\nTLS scan: compliant');
process.exitCode = failed ? 1 : 0;
