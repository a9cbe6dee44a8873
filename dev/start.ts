/**
 * `npm start`: PostgreSQL and a directory store under `.edgesentry/`, one `eds serve` in front, a demo device registered.
 * What it leaves is found again by the next start.
 */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { parseArgs, styleText } from 'node:util';
import { demoKeySeed } from '../src/commands/demo-lift-inspection.ts';
import { signingKeyFromSeed } from '../src/record/signing-key.ts';
import { ensureDatabase } from './database.ts';
import { edsOrFail, startReplica } from './eds.ts';
import { startPostgres } from './embedded-postgres.ts';
import { assertPortFree } from './ports.ts';

const folder = join(import.meta.dirname, '../.edgesentry');
const demoDevice = 'lift-01';

/** Flags and their defaults: the service's own ports, and one beside PostgreSQL's usual. */
const ports = { port: '8080', 'ops-port': '9464', 'postgres-port': '15432' };

async function start(signal: AbortSignal): Promise<number> {
  const { port, opsPort, postgresPort } = await readPorts();
  await mkdir(folder, { recursive: true });

  await using postgres = await startPostgres({
    dataDirectory: join(folder, 'postgres'),
    port: postgresPort,
    durable: true,
    persistent: true,
  });
  await ensureDatabase(postgres.url(), 'edgesentry');

  const keyFile = join(folder, `${demoDevice}.key`);
  const key = signingKeyFromSeed(demoKeySeed);
  await writeFile(keyFile, `${key.seed.toString('hex')}\n`);
  const settings = { DATABASE_URL: postgres.url('edgesentry'), EDS_STORE_DIR: join(folder, 'payloads') };
  await writeEnvironment({ ...settings, EDS_PRIVATE_KEY_FILE: keyFile });

  await edsOrFail(['migrate'], settings);
  const publicKey = key.publicKey.toString('hex');
  const registration = ['register', demoDevice, '--public-key', publicKey, '--scheme', 'payload-v1'];
  await edsOrFail(['device', ...registration], settings);
  signal.throwIfAborted();
  await using replica = await startReplica({ name: 'eds serve', port, opsPort, settings, log: 'inherit' }, signal);

  console.log(welcome(replica.url, replica.opsUrl, postgresPort));
  const asked = new Promise<'asked'>((resolve) => signal.addEventListener('abort', () => resolve('asked')));
  const end = await Promise.race([asked, replica.exited]);
  if (end === 'asked') return 0;
  console.error(`eds serve ended by itself (${end}): its last log lines are above`);
  return 1;
}

async function readPorts(): Promise<{ port: number; opsPort: number; postgresPort: number }> {
  const options = Object.fromEntries(Object.keys(ports).map((flag) => [flag, { type: 'string' }] as const));
  const { values } = parseArgs({ options });
  const port = async (flag: keyof typeof ports) => {
    const text = String(values[flag] ?? ports[flag]);
    if (!/^[1-9][0-9]{0,4}$/.test(text) || Number(text) > 65_535)
      throw new Error(`--${flag} must be a port from 1 to 65535, got '${text}'`);
    await assertPortFree(Number(text)).catch((cause: Error) => {
      const taken = `${cause.message}, perhaps another npm start. To use another port: npm start -- --${flag} PORT`;
      throw new Error(taken, { cause });
    });
    return Number(text);
  };
  return { port: await port('port'), opsPort: await port('ops-port'), postgresPort: await port('postgres-port') };
}

/** For the shells in which the commands below are tried. It holds the database's password: for its owner alone. */
async function writeEnvironment(variables: Readonly<Record<string, string>>): Promise<void> {
  const file = join(folder, 'env');
  const lines = Object.entries(variables).map(
    ([name, value]) => `export ${name}='${value.replaceAll("'", `'\\''`)}'\n`,
  );
  await writeFile(file, lines.join(''), { mode: 0o600 });
  await chmod(file, 0o600);
}

function welcome(url: string, opsUrl: string, postgresPort: number): string {
  const bold = (text: string) => styleText('bold', text);
  const warn = (text: string) => styleText('yellow', text);
  return `
${bold('EdgeSentry is up.')} Everything it keeps is under ${relative(process.cwd(), folder) || folder}/

  records     ${url}/api/v1/ingest
  operations  ${opsUrl}/readyz  ${opsUrl}/metrics
  database    PostgreSQL on port ${postgresPort}

${warn(`The demo device ${demoDevice} is registered. Its private key is public (32 bytes of 0x01):`)}
${warn('anybody can sign in its name. Never register it in a service that matters.')}

${bold('Try next')}, in another terminal, in this folder:

  . .edgesentry/env
  npm run -s eds -- send --url ${url} --device-id ${demoDevice} --payload 'door=ok,cycle=3'
  curl -s ${url}/api/v1/devices/${demoDevice}/head
  npm run -s eds -- audit
  npm run -s eds -- payload get ${demoDevice} 1

Ctrl-C stops it. What was accepted is there at the next start.
`;
}

const ending = new AbortController();
// Once each: a second signal finds the default handler, which ends the process at the spot.
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => ending.abort());
try {
  process.exitCode = await start(ending.signal);
} catch (error) {
  if (!ending.signal.aborted) {
    console.error(`npm start: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
