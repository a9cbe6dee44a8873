import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';

/** Plain SQL, `NNNN_name.sql`, applied in order, each in a transaction of its own. Forward-only. */
const migrationsFolder = join(import.meta.dirname, '../../migrations');

/** Held while migrating, so that of two processes that start at once one waits for the other. */
const migrationLock = "hashtextextended('edgesentry migrations', 0)";

export class MigrationError extends Error {
  override readonly name = 'MigrationError';
}

type Migration = { readonly version: number; readonly name: string; readonly sql: string; readonly checksum: string };

export type MigrateOptions = {
  readonly databaseUrl: string;
  /** An existing role that gets what the service needs and no more. Left out where one role does all. */
  readonly serviceRole?: string | undefined;
  /**
   * Takes a schema that is newer than this program as good enough: migrations only expand. For a rollback, where the older
   * version's manifests run its migration again.
   */
  readonly allowNewer?: boolean;
  readonly log?: (line: string) => void;
};

/**
 * Brings the schema up to the newest migration and answers with its version. Running it again changes nothing.
 * @throws MigrationError when the schema is newer than this program and that is not allowed, or an applied migration has
 * been edited since
 */
export async function migrate(options: MigrateOptions): Promise<number> {
  const { databaseUrl, serviceRole } = options;
  const migrations = await readMigrations();
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'edgesentry migrate' });
  await client.connect();
  try {
    await client.query(`SELECT pg_advisory_lock(${migrationLock})`);
    const version = await applyAll(client, migrations, options);
    if (serviceRole !== undefined) await grantService(client, serviceRole);
    return version;
  } finally {
    await client.end();
  }
}

/** Asked for by each round of readiness checks; the files of a program do not change while it runs. */
let versionNeeded: number | undefined;

/** The schema version that this program needs: that of its newest migration. */
export async function schemaVersionNeeded(): Promise<number> {
  versionNeeded ??= (await readMigrations()).at(-1)?.version ?? 0;
  return versionNeeded;
}

async function readMigrations(): Promise<Migration[]> {
  const names = (await readdir(migrationsFolder)).filter((name) => /^\d{4}_\w+\.sql$/.test(name)).sort();
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(join(migrationsFolder, name), 'utf8');
      return { version: Number(name.slice(0, 4)), name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

/** Answers the version of the schema then. */
async function applyAll(
  client: pg.Client,
  migrations: readonly Migration[],
  { allowNewer = false, log = () => {} }: MigrateOptions,
): Promise<number> {
  await client.query(
    `CREATE TABLE IF NOT EXISTS schema_migrations (
       version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
       applied_at timestamptz NOT NULL DEFAULT clock_timestamp())`,
  );
  const { rows } = await client.query<{ version: number; name: string; checksum: string }>(
    'SELECT version, name, checksum FROM schema_migrations ORDER BY version',
  );
  const known = new Map(migrations.map((migration) => [migration.version, migration]));
  for (const { version, name, checksum } of rows) {
    const migration = known.get(version);
    if (migration === undefined && !allowNewer)
      throw new MigrationError(
        `the schema is newer than this program: it has migration ${name}; run a newer eds, or after a rollback --allow-newer`,
      );
    if (migration !== undefined && migration.checksum !== checksum)
      throw new MigrationError(`migration ${name} was edited after it was applied: restore it and add a new one`);
  }
  const applied = new Set(rows.map(({ version }) => version));
  for (const migration of migrations.filter(({ version }) => !applied.has(version))) {
    await apply(client, migration);
    log(`applied ${migration.name}`);
  }
  return Math.max(0, ...rows.map(({ version }) => version), ...known.keys());
}

async function apply(client: pg.Client, { version, name, sql, checksum }: Migration): Promise<void> {
  await client.query('BEGIN');
  try {
    await client.query(sql);
    await client.query('INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)', [
      version,
      name,
      checksum,
    ]);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw new MigrationError(`migration ${name} failed and was rolled back: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/**
 * What a pod's commit may set, of this version and of those before it. Not the times, which are the database's, and not
 * operation_logs.actor, without which a row cannot claim to be a change of the registry.
 */
const insertColumns = {
  audit_records: `device_id, sequence, timestamp_ms, payload_hash, signature, prev_record_hash, object_ref, record_hash,
                  object_key, object_offset, payload_bytes, clock_skew_ms`,
  operation_logs: 'id, decision, device_id, sequence, code, message, source, count',
  equivocations: 'device_id, sequence, record_hash, record',
} as const;

/**
 * What the service does: read everything, append records, logs and evidence, ask for partitions. One transaction, so that
 * pods run on while a right to insert that was wider is taken back.
 */
async function grantService(client: pg.Client, role: string): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM pg_roles WHERE rolname = $1', [role]);
  if (rowCount === 0) throw new MigrationError(`role ${role} does not exist: create it first, with LOGIN`);
  const { rows } = await client.query<{ schema: string }>('SELECT current_schema() AS schema');
  const schema = pg.escapeIdentifier(rows[0]?.schema ?? 'public');
  const grantee = pg.escapeIdentifier(role);
  const grants = Object.entries(insertColumns).map(
    ([table, columns]) => `GRANT INSERT (${columns}) ON ${table} TO ${grantee};`,
  );
  await client.query(`
    GRANT USAGE ON SCHEMA ${schema} TO ${grantee};
    GRANT SELECT ON schema_migrations, devices, device_keys, device_gateways, audit_records, operation_logs, equivocations TO ${grantee};
    REVOKE INSERT ON ${Object.keys(insertColumns).join(', ')} FROM ${grantee};
    ${grants.join('\n    ')}
    GRANT EXECUTE ON FUNCTION ensure_operation_log_partitions(integer) TO ${grantee};`);
}
