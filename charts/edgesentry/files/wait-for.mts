/**
 * Waits until the server of a URL accepts connections: `wait-for [URL]`, DATABASE_URL if left out. It may still be starting,
 * and a NetworkPolicy may take a moment to let a new pod through.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** A first installation fetches images and copies a standby: minutes, on a slow cluster. */
const deadlineMs = 600_000;
const pauseMs = 500;
const attemptTimeoutMs = 2_000;
const defaultPorts: Record<string, number> = { 'http:': 80, 'https:': 443 };
const postgresPort = 5432;

const url = new URL(process.argv[2] ?? process.env.DATABASE_URL ?? '');
const { hostname: host, protocol } = url;
const port = Number(url.port) || (defaultPorts[protocol] ?? postgresPort);
const deadline = Date.now() + deadlineMs;
while (!(await accepts())) {
  if (Date.now() > deadline) throw new Error(`nothing accepts connections at ${host}:${port}`);
  await sleep(pauseMs);
}

async function accepts(): Promise<boolean> {
  const socket = connect({ host, port });
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(attemptTimeoutMs) });
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
