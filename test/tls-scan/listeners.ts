import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Issued } from '../support/certificates.ts';

const mainFile = join(import.meta.dirname, '../../src/main.ts');
/** Node starts in about a second here; a loaded machine may need many times that. */
const startDeadlineMs = 60_000;

/** Of localhost. */
export type Listener = AsyncDisposable & { readonly port: number };

/** `eds serve-tls` as a process of its own, on free ports. @throws Error with what it wrote, when it does not listen */
export async function startServeTls(databaseUrl: string, flags: readonly string[]): Promise<Listener> {
  const args = ['serve-tls', '--addr=127.0.0.1:0', '--ops-addr=127.0.0.1:0', ...flags];
  const child = spawn(process.execPath, [mainFile, ...args], {
    env: { PATH: process.env.PATH ?? '', DATABASE_URL: databaseUrl },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    // There is nothing to drain, and the scanner leaves connections behind that a drain would wait for.
    child.kill('SIGKILL');
    await exited;
  };
  try {
    return { port: await listeningPort(child), [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function listeningPort(child: ChildProcess): Promise<number> {
  const said: string[] = [];
  const listening = Promise.withResolvers<number>();
  for (const output of [child.stdout, child.stderr]) {
    if (output === null) continue;
    createInterface({ input: output }).on('line', (text) => {
      // A scan is some hundreds of refused connections; only the beginning is of interest.
      if (said.length < 20) said.push(text);
      if (text.includes('"listening"')) listening.resolve(JSON.parse(text).ingest.port);
    });
  }
  const failed = (how: string) => listening.reject(new Error(`eds serve-tls ${how}:\n${said.join('\n')}`));
  child.once('exit', () => failed('ended at once'));
  const timer = setTimeout(() => failed('does not listen'), startDeadlineMs);
  return listening.promise.finally(() => clearTimeout(timer));
}

/** Old versions, weak ciphers, renegotiation: what the scanner has to find. */
export async function startCarelessListener({ cert, key }: Issued): Promise<Listener> {
  const server = createServer({
    cert,
    key,
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.2',
    ciphers: 'ALL:@SECLEVEL=0',
  });
  // A scanner leaves broken handshakes behind.
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
