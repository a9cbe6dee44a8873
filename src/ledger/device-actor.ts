import type pg from 'pg';
import { inTransaction } from './transaction.ts';

/**
 * Who changes the registry, for the operation log: what a client says of itself. The triggers of migration 2 put the
 * database role beside it, which is all there is to tell when it is undefined.
 */
export type Actor = string | undefined;

/** Runs `work` in one transaction whose changes of the registry are logged as `actor`'s. */
export function inRegistryTransaction<T>(
  pool: pg.Pool,
  actor: Actor,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  return inTransaction(pool, async (client) => {
    if (actor !== undefined) await client.query(`SELECT set_config('edgesentry.actor', $1, true)`, [actor]);
    return work(client);
  });
}
