import pg from 'pg';

export type PoolOptions = {
  /** `postgres://user:password@host:port/database?sslmode=verify-full&sslrootcert=...` */
  readonly databaseUrl: string;
  /** Connections of this process. Sum over all pods, plus one listener each, below Postgres's max_connections. */
  readonly connectionsMax: number;
  readonly applicationName: string;
};

/** A connection that is not there within this is an outage to be answered 503, not a wait. */
const connectTimeoutMs = 2_000;
/** The longest that any of our statements may run in Postgres; a commit takes milliseconds. */
const statementTimeoutMs = 5_000;
/** Beyond the server's own timeout: what is silent this long is a half-open connection. */
const queryTimeoutMs = 7_000;
/** An idle connection is given back, so that a pod at rest does not hold its share of max_connections. */
const idleTimeoutMs = 60_000;
/** A transaction that its client forgot would hold its locks for ever. */
const idleInTransactionTimeoutMs = 10_000;

export const connectionOptions = (options: Omit<PoolOptions, 'connectionsMax'>): pg.ClientConfig => ({
  connectionString: options.databaseUrl,
  application_name: options.applicationName,
  connectionTimeoutMillis: connectTimeoutMs,
  statement_timeout: statementTimeoutMs,
  query_timeout: queryTimeoutMs,
  idle_in_transaction_session_timeout: idleInTransactionTimeoutMs,
  keepAlive: true,
});

/** @param onIdleError told when a connection fails that nobody is using; the pool replaces it */
export function openPool(options: PoolOptions, onIdleError: (error: Error) => void): pg.Pool {
  const pool = new pg.Pool({
    ...connectionOptions(options),
    max: options.connectionsMax,
    idleTimeoutMillis: idleTimeoutMs,
  });
  pool.on('error', onIdleError);
  // The pool listens to a connection while it is idle, a query while it runs. In between, an error without a listener
  // would end the process: as when the server dies right behind its last answer. Whoever holds the connection is told
  // by the next query.
  pool.on('connect', (client) => client.on('error', () => {}));
  return pool;
}
