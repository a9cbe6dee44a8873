import type pg from 'pg';
import { inTransaction } from './transaction.ts';

/** The codes of the log's rows on the registry, as the triggers of migration 2 write them. */
export const registryChanges = [
  'device_registered',
  'device_suspended',
  'device_resumed',
  'site_changed',
  'key_added',
  'key_validity_changed',
  'key_proven',
  'key_revoked',
  'gateway_added',
  'gateway_removed',
] as const;

/** A change of the registry: when, of which device, what in code and in words, and who made it. */
export type RegistryEntry = {
  readonly at: Date;
  readonly deviceId: string;
  readonly change: (typeof registryChanges)[number];
  readonly message: string;
  readonly actor: string;
};

export type HistoryOptions = {
  /** Undefined: of every device. */
  readonly deviceId: string | undefined;
  /** The last so many. */
  readonly limit: number;
};

/** No index serves the whole registry's history: one would have to be built over a log of any size, holding up commits. */
const readTimeoutMs = 60_000;

/** The changes of the registry that the operation log still has, newest last. */
export function readDeviceHistory(pool: pg.Pool, { deviceId, limit }: HistoryOptions): Promise<RegistryEntry[]> {
  return inTransaction(pool, async (client) => {
    await client.query(`SET LOCAL statement_timeout = ${readTimeoutMs}`);
    const select: pg.QueryConfig & { query_timeout: number } = {
      text: `SELECT created_at AS at, device_id AS "deviceId", code AS change, message, actor
             FROM operation_logs WHERE decision = 'Registry' AND ($1::text IS NULL OR device_id = $1)
             ORDER BY created_at DESC, id LIMIT $2`,
      values: [deviceId ?? null, limit],
      // The client's patience must outlast the server's.
      query_timeout: readTimeoutMs + 2_000,
    };
    return (await client.query<RegistryEntry>(select)).rows.reverse();
  });
}
