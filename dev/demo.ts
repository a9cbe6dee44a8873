/**
 * `npm run demo`: three replicas of the service on one PostgreSQL and one payload store, a lift whose records go round-robin
 * over them, and everything that can be wrong with a record. All of it is real, in a temporary folder, gone at the end.
 * Exit code 1 when any answer differs from what the page says.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureDatabase } from './database.ts';
import { Page } from './demo-page.ts';
import { type Cluster, DemoStory, gate, lift } from './demo-story.ts';
import { edsOrFail, type Replica, startReplica } from './eds.ts';
import { startPostgres } from './embedded-postgres.ts';
import { freePort } from './ports.ts';

/** As a shell says of a program that Ctrl-C has ended. */
const interruptedExitCode = 130;

async function demo(signal: AbortSignal): Promise<number> {
  await using cleanup = new AsyncDisposableStack();
  const page = new Page();
  page.title('EdgeSentry: three replicas, one chain');
  const cluster = await startCluster(page, cleanup, signal);
  await new DemoStory(cluster, page, signal).tell();
  return page.surprises === 0 ? 0 : 1;
}

async function startCluster(page: Page, cleanup: AsyncDisposableStack, signal: AbortSignal): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), 'edgesentry-demo-'));
  cleanup.defer(() => rm(folder, { recursive: true }));
  const database = { dataDirectory: join(folder, 'postgres'), durable: true, persistent: true };
  const postgres = cleanup.use(await startPostgres(database));
  await ensureDatabase(postgres.url(), 'edgesentry');
  page.fact('database', `PostgreSQL on port ${postgres.port}`);

  const settings = { DATABASE_URL: postgres.url('edgesentry'), EDS_STORE_DIR: join(folder, 'payloads') };
  await edsOrFail(['migrate'], settings);
  for (const { id, scheme, key } of [lift, gate]) {
    const publicKey = key.publicKey.toString('hex');
    await edsOrFail(['device', 'register', id, '--public-key', publicKey, '--scheme', scheme], settings);
    page.fact('device', `${id}, signs by ${scheme}`);
  }

  const start = async (number: number): Promise<Replica> => {
    const log = { file: join(folder, `replica-${number}.log`) };
    const options = { name: `replica ${number}`, port: await freePort(), opsPort: await freePort(), settings, log };
    return cleanup.use(await startReplica(options, signal));
  };
  const replicas = await Promise.all([start(1), start(2), start(3)]);
  for (const replica of replicas) page.fact(replica.name, `${replica.url}  pid ${replica.pid}`);
  page.gap();
  return { replicas, settings };
}

const ending = new AbortController();
// Once each: a second signal finds the default handler, which ends the process at the spot.
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => ending.abort());
try {
  process.exitCode = await demo(ending.signal);
} catch (error) {
  if (!ending.signal.aborted) console.error(`npm run demo: ${(error as Error).message}`);
  process.exitCode = ending.signal.aborted ? interruptedExitCode : 1;
}
