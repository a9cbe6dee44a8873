/** A process of its own: signs every record first, says `ready`, waits for `go`, sends, reports a LoadResult. */
import { DeviceChain } from '../src/device/device-chain.ts';
import { formatEnvelope } from '../src/record/format.ts';
import { signingKeyFromSeed } from '../src/record/signing-key.ts';
import { HttpConnection } from './http-client.ts';
import type { LoadPlan, LoadResult } from './load-plan.ts';
import { quantiles } from './quantiles.ts';

const plan: LoadPlan = JSON.parse(process.argv[2] ?? '');
const perRequest = plan.mode === 'batch' ? plan.linesPerBatch : 1;
const path = plan.mode === 'batch' ? '/api/v1/ingest/batch' : '/api/v1/ingest';
const type = plan.mode === 'batch' ? 'application/x-ndjson' : 'application/json';

function signedRequests(connection: number): Buffer[] {
  const key = signingKeyFromSeed(Buffer.from(plan.privateKeyHex, 'hex'));
  const chains = Array.from({ length: plan.devicesPerConnection }, (_, index) => {
    const deviceId = `${plan.devicePrefix}-${connection * plan.devicesPerConnection + index}`;
    return new DeviceChain({ deviceId, scheme: 'payload-v1', key });
  });
  const requests: Buffer[] = [];
  for (let sent = 0; sent < plan.recordsPerConnection; sent += perRequest) {
    const lines = Array.from({ length: perRequest }, (_, index) => {
      const number = sent + index;
      const chain = chains[number % chains.length] as DeviceChain;
      const payload = Buffer.alloc(plan.payloadBytes, `${chain.deviceId} ${number} `);
      const objectRef = `${chain.deviceId}/${number}.bin`;
      return formatEnvelope(chain.next(payload, { timestampMs: BigInt(1_700_000_000_000 + number), objectRef }));
    });
    requests.push(Buffer.from(plan.mode === 'batch' ? `${lines.join('\n')}\n` : (lines[0] as string)));
  }
  return requests;
}

const refused: Record<string, number> = {};
const latenciesMs: number[] = [];
let accepted = 0;

function count(body: string): void {
  for (const line of body.trimEnd().split('\n')) {
    if (line.startsWith('{"status":"accepted"')) accepted++;
    else {
      const code = /"code":"(\w+)"/.exec(line)?.[1] ?? line.slice(0, 80);
      refused[code] = (refused[code] ?? 0) + 1;
    }
  }
}

async function sendAll(
  connections: readonly HttpConnection[],
  first: number,
  requests: readonly Buffer[],
): Promise<void> {
  for (const [index, body] of requests.entries()) {
    const connection = connections[(first + index) % connections.length] as HttpConnection;
    const startMs = performance.now();
    const answer = await connection.post(path, type, body);
    latenciesMs.push(performance.now() - startMs);
    count(answer.body.toString());
  }
}

const requests = Array.from({ length: plan.connections }, (_, connection) => signedRequests(connection));
const connections = await Promise.all(
  requests.map(() => Promise.all(plan.urls.map((url) => HttpConnection.open(url)))),
);
process.send?.('ready');
process.once('message', async () => {
  const startMs = performance.now();
  const cpuBefore = process.cpuUsage();
  await Promise.all(requests.map((own, index) => sendAll(connections[index] as HttpConnection[], index, own)));
  const seconds = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  const cpuSeconds = (user + system) / 1e6;
  process.send?.({
    records: accepted,
    refused,
    seconds,
    cpuSeconds,
    latencyMs: quantiles(latenciesMs),
  } satisfies LoadResult);
  for (const own of connections.flat()) own.close();
  process.disconnect();
});
