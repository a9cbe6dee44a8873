/** The Postgres ledger over a test database, and what is committed to it. */
import { randomUUID } from 'node:crypto';
import type { TestContext } from 'node:test';
import pg from 'pg';
import type { CommitBatch, ProposedRun, RejectedDecision } from '../../src/ingest/ports.ts';
import { DeviceRegistry } from '../../src/ledger/device-registry.ts';
import { PostgresLedger } from '../../src/ledger/ledger.ts';
import { recordHash } from '../../src/record/hash.ts';
import type { Envelope } from '../../src/record/record.ts';
import { createTestDatabase } from './postgres.ts';
import { TestDevice } from './service.ts';

const connectionsMax = 4;

/**
 * A pool whose idle connections may be cut by the server: some tests do that, and dropping a test's database does it to
 * the connections that pool.end() has not waited for.
 */
export function openTestPool(databaseUrl: string, limits: pg.PoolConfig = {}): pg.Pool {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: connectionsMax, ...limits });
  pool.on('error', () => {});
  return pool;
}

export async function openLedger(t: TestContext, limits: pg.PoolConfig = {}) {
  const { url } = await createTestDatabase(t);
  const pool = openTestPool(url, limits);
  const registry = new DeviceRegistry(pool);
  return {
    url,
    pool,
    registry,
    ledger: new PostgresLedger(pool),
    device: (id: string) => new TestDevice(id).register(registry),
    [Symbol.asyncDispose]: () => pool.end(),
  };
}

export type OpenLedger = Awaited<ReturnType<typeof openLedger>>;

export async function runOf(db: OpenLedger, deviceId: string, envelopes: readonly Envelope[]): Promise<ProposedRun> {
  const device = await db.registry.find(deviceId);
  return { deviceId, revision: device?.revision ?? 0n, records: envelopes.map(proposed) };
}

export function proposed({ record, payload }: Envelope): ProposedRun['records'][number] {
  const location = { objectKey: record.objectRef, offset: undefined, bytes: payload.length };
  return { decisionId: randomUUID(), record, recordHash: recordHash(record), location, clockSkewMs: undefined };
}

export const nexts = (device: TestDevice, count: number) => Array.from({ length: count }, () => device.next());

export function rejection(deviceId: string, more: Partial<RejectedDecision> = {}): RejectedDecision {
  const refused = {
    code: 'invalid_signature',
    message: 'no',
    source: undefined,
    count: 1,
    evidence: undefined,
  } as const;
  return { decisionId: randomUUID(), deviceId, sequence: 1n, ...refused, ...more };
}

export const commit = (db: OpenLedger, batch: Partial<CommitBatch>) =>
  db.ledger.commit({ runs: [], rejections: [], ...batch });
