import pg from 'pg';

/** Runs statements on one connection of its own. @returns the rows of the last */
export async function query(url: string, ...statements: readonly string[]): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    let rows: Record<string, unknown>[] = [];
    for (const statement of statements) rows = (await client.query<Record<string, unknown>>(statement)).rows;
    return rows;
  } finally {
    await client.end();
  }
}

/** @param url of any database of the server */
export async function ensureDatabase(url: string, name: string): Promise<void> {
  const found = await query(url, `SELECT FROM pg_database WHERE datname = ${pg.escapeLiteral(name)}`);
  if (found.length === 0) await query(url, `CREATE DATABASE ${pg.escapeIdentifier(name)}`);
}

/** The same server, another database. */
export function withDatabase(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}
