import pg from 'pg';
import { unavailable } from './failure.ts';
import { schemaVersionNeeded } from './migrate.ts';

/** The name of the replay fence in migrations/. */
const fenceName = 'audit_records_fence';
const partitionMonthsAhead = 3;
/** SQLSTATE (PostgreSQL documentation, appendix A). */
const undefinedTable = '42P01';

/** For readiness: Postgres answers, its schema is new enough, and the fence stands. @throws Unavailable naming what is wrong */
export async function checkLedger(pool: pg.Pool): Promise<void> {
  const needed = await schemaVersionNeeded();
  const { rows } = await pool
    .query<{ version: number | null; fence: boolean }>({
      name: 'check-ledger',
      text: `SELECT (SELECT max(version) FROM schema_migrations) AS version,
                    EXISTS (SELECT FROM pg_constraint WHERE conname = $1 AND contype = 'u' AND convalidated
                              AND conrelid = to_regclass('audit_records')) AS fence`,
      values: [fenceName],
    })
    .catch((error: unknown) => {
      const missing = error instanceof pg.DatabaseError && error.code === undefinedTable;
      if (missing) throw unavailable('the schema is missing', new Error("run 'eds migrate'"));
      throw unavailable('the ledger does not answer', error);
    });
  const { version, fence } = rows[0] ?? { version: null, fence: false };
  if ((version ?? 0) < needed)
    throw unavailable(
      'the schema is too old',
      new Error(`version ${version ?? 0}, needed ${needed}: run 'eds migrate'`),
    );
  if (!fence) throw unavailable('the replay fence is missing', new Error(`constraint ${fenceName} on audit_records`));
}

/** Makes the operation log's partitions for the months to come. */
export async function ensureLogPartitions(pool: pg.Pool): Promise<void> {
  await pool.query('SELECT ensure_operation_log_partitions($1)', [partitionMonthsAhead]);
}
