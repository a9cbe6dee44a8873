/** What the same machine does without the service, in the same run: what the service's figures are held against. */
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { DeviceChain } from '../src/device/device-chain.ts';
import type { ProposedRecord } from '../src/ingest/ports.ts';
import { PostgresLedger } from '../src/ledger/ledger.ts';
import { openPool } from '../src/ledger/pool.ts';
import { blake3Hash, recordHash } from '../src/record/hash.ts';
import { verifySignature } from '../src/record/signature.ts';
import { generateSigningKey } from '../src/record/signing-key.ts';

/** CPU microseconds of this process for each call of `work`, over `rounds` calls after a tenth as many to warm up. */
async function cpuMicroseconds(rounds: number, work: (round: number) => unknown): Promise<number> {
  for (let round = 0; round < rounds / 10; round++) await work(round);
  const before = process.cpuUsage();
  for (let round = 0; round < rounds; round++) await work(round);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / rounds;
}

export type Floor = { readonly verify: number; readonly hash: number; readonly row: number; readonly total: number };

/**
 * CPU microseconds that no service of this design can do without for a record: one verification, the hashes of payload
 * and record, the client's side of its row in a full commit.
 */
export async function measureFloor(databaseUrl: string, device: string, payloadBytes: number): Promise<Floor> {
  const chain = new DeviceChain({ deviceId: device, scheme: 'payload-v1', key: generateSigningKey() });
  const key = generateSigningKey();
  const signer = new DeviceChain({ deviceId: device, scheme: 'payload-v1', key });
  const { record, payload } = signer.next(Buffer.alloc(payloadBytes, 7), { timestampMs: 1n, objectRef: `${device}/x` });
  const verify = await cpuMicroseconds(5_000, () =>
    verifySignature(record, { scheme: 'payload-v1', publicKey: key.publicKey }),
  );
  const hash = await cpuMicroseconds(20_000, () => [blake3Hash(payload), recordHash(record)]);
  const rowsPerCommit = 512;
  const pool = openPool({ databaseUrl, connectionsMax: 2, applicationName: 'bench floor' }, () => {});
  try {
    const ledger = new PostgresLedger(pool);
    const { rows } = await pool.query<{ revision: string }>('SELECT revision FROM devices WHERE id = $1', [device]);
    const revision = BigInt(rows[0]?.revision ?? 0);
    const commit = await cpuMicroseconds(20, async () => {
      const records = Array.from({ length: rowsPerCommit }, (): ProposedRecord => {
        const { record } = chain.next(payload, { timestampMs: 1n, objectRef: `${device}/x` });
        const location = { objectKey: `segments/bench/${device}`, offset: 0, bytes: payloadBytes };
        return { decisionId: randomUUID(), record, recordHash: recordHash(record), location, clockSkewMs: undefined };
      });
      await ledger.commit({ runs: [{ deviceId: device, revision, records }], rejections: [] });
    });
    const signing = await cpuMicroseconds(2_000, () =>
      signer.next(payload, { timestampMs: 1n, objectRef: `${device}/x` }),
    );
    const row = Math.max(0, commit / rowsPerCommit - signing);
    return { verify, hash, row, total: verify + hash + row };
  } finally {
    await pool.end();
  }
}

/** Runs `count` puts, `concurrency` at once. Answers puts a second. */
async function putsPerSecond(
  count: number,
  concurrency: number,
  put: (index: number) => Promise<unknown>,
): Promise<number> {
  let next = 0;
  const worker = async () => {
    while (next < count) await put(next++);
  };
  const startMs = performance.now();
  await Promise.all(Array.from({ length: concurrency }, worker));
  return count / ((performance.now() - startMs) / 1000);
}

export type S3Target = {
  readonly endpoint: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
};

/** A bare loop of conditional puts with the same SDK. */
export async function barePuts(target: S3Target, count: number, concurrency: number, bytes: number): Promise<number> {
  const { endpoint, bucket: Bucket, ...credentials } = target;
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials });
  const Body = Buffer.alloc(bytes, 7);
  const prefix = `bare/${randomUUID()}`;
  const put = (index: number) =>
    client.send(new PutObjectCommand({ Bucket, Key: `${prefix}/${index}`, Body, IfNoneMatch: '*' }));
  await putsPerSecond(count / 4, concurrency, (index) => put(count + index));
  const rate = await putsPerSecond(count, concurrency, put);
  client.destroy();
  return rate;
}

/** A bare loop that writes a file and fsyncs it and its folder: without the folder, a crash can lose the name. */
export async function bareFiles(directory: string, count: number, concurrency: number, bytes: number): Promise<number> {
  await mkdir(directory, { recursive: true });
  const folder = await mkdtemp(join(directory, 'bare-'));
  const body = Buffer.alloc(bytes, 7);
  const handle = await open(folder);
  const rate = await putsPerSecond(count, concurrency, async (index) => {
    const file = await open(join(folder, String(index)), 'wx');
    await file.write(body);
    await file.sync();
    await file.close();
    await handle.sync();
  });
  await handle.close();
  await rm(folder, { recursive: true });
  return rate;
}
