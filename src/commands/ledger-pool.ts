import type { LedgerConfig } from '../config.ts';
import type { openPool } from '../ledger/pool.ts';

export type LedgerPool = ReturnType<typeof openPool>;

/** One connection to the ledger, for as long as `work` takes. */
export async function withLedgerPool<T>(
  { databaseUrl }: LedgerConfig,
  applicationName: string,
  work: (pool: LedgerPool) => Promise<T>,
): Promise<T> {
  const { openPool } = await import('../ledger/pool.ts');
  // An idle connection that fails is replaced; a query that fails says so itself.
  const pool = openPool({ databaseUrl, connectionsMax: 1, applicationName }, () => {});
  try {
    return await work(pool);
  } finally {
    await pool.end();
  }
}
