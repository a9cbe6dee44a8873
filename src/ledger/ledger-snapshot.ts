import pg from 'pg';
import type {
  Equivocation,
  LedgerCounts,
  LedgerRecord,
  LedgerSnapshot,
  LocatedRecord,
  LogDifference,
} from '../audit/ports.ts';
import type { Device } from '../record/device.ts';
import { type DeviceRow, deviceColumns, deviceFromRow } from './device-rows.ts';
import { unavailable } from './failure.ts';
import { connectionOptions } from './pool.ts';
import {
  type LocationRow,
  locationColumns,
  locationFromRow,
  type RecordRow,
  recordColumns,
  recordFromRow,
} from './record-rows.ts';
import { checkLedger } from './upkeep.ts';

/** About a megabyte of rows. */
const rowsPerPage = 1000;

/**
 * The service's limits on statements are for requests; sorting a ledger of millions takes minutes, and the transaction
 * is idle while payloads are read. Rows are all fetched, so a plan that is quick to its first tenth is the wrong one, and
 * a sort should not go to disk in small pieces.
 */
const sessionSettings = `
  SET LOCAL statement_timeout = 0;
  SET LOCAL idle_in_transaction_session_timeout = 0;
  SET LOCAL cursor_tuple_fraction = 1;
  SET LOCAL work_mem = '64MB'`;

export type SnapshotOptions = {
  readonly databaseUrl: string;
  /** Undefined: every device. */
  readonly deviceIds: readonly string[] | undefined;
  /** Ends a statement that runs, too. */
  readonly signal: AbortSignal;
};

/**
 * The ledger as one read-only REPEATABLE READ transaction sees it: a service that goes on committing gives no false
 * break. It holds back only the vacuum, of tables that have next to nothing to vacuum.
 */
export class PostgresSnapshot implements LedgerSnapshot, AsyncDisposable {
  readonly #pool: pg.Pool;
  readonly #client: pg.PoolClient;
  readonly #deviceIds: readonly string[] | null;
  readonly #closing = new AbortController();

  private constructor(pool: pg.Pool, client: pg.PoolClient, { deviceIds, signal }: SnapshotOptions) {
    this.#pool = pool;
    this.#client = client;
    this.#deviceIds = deviceIds ?? null;
    // Ending the connection is the only way to stop waiting for a statement. What was waited for rejects.
    signal.addEventListener('abort', () => client.end(), { signal: this.#closing.signal });
    client.on('error', () => {});
  }

  /** Rejects with Unavailable when Postgres cannot be reached or its schema is not what this program needs. */
  static async open(options: SnapshotOptions): Promise<PostgresSnapshot> {
    const { databaseUrl } = options;
    const pool = new pg.Pool({
      ...connectionOptions({ databaseUrl, applicationName: 'edgesentry audit' }),
      query_timeout: 0,
      max: 1,
    });
    pool.on('error', () => {});
    try {
      await checkLedger(pool);
      const client = await pool.connect();
      await client.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
      await client.query(sessionSettings);
      return new PostgresSnapshot(pool, client, options);
    } catch (error) {
      void pool.end();
      throw error;
    }
  }

  async counts(): Promise<LedgerCounts> {
    const [row] = await this.#query<{ devices: string; rejected: string; kept_since_ms: string | null }>(
      `SELECT (SELECT count(*) FROM devices WHERE ${this.#isSelected('id')}) AS devices,
              (SELECT coalesce(sum(count), 0) FROM operation_logs
               WHERE decision = 'Rejected' AND ${this.#isSelected('device_id')}) AS rejected,
              (SELECT extract(epoch FROM min(created_at)) * 1000 FROM operation_logs) AS kept_since_ms`,
      [this.#deviceIds],
    );
    const keptSince = row?.kept_since_ms ?? undefined;
    return {
      devicesRegistered: Number(row?.devices),
      rejectedDecisions: Number(row?.rejected),
      logKeptSinceMs: keptSince === undefined ? undefined : Number(keptSince),
    };
  }

  async devices(ids: readonly string[]): Promise<ReadonlyMap<string, Device>> {
    const rows = await this.#query<DeviceRow>(`SELECT ${deviceColumns} FROM devices d WHERE d.id = ANY($1::text[])`, [
      ids,
    ]);
    return new Map(rows.map((row) => [row.id, deviceFromRow(row)]));
  }

  records(): AsyncIterable<readonly LedgerRecord[]> {
    return this.#pages<
      RecordRow & { record_hash: Buffer; ingested_at_ms: string; clock_skew_ms: string | null },
      LedgerRecord
    >(
      `SELECT ${recordColumns}, record_hash, extract(epoch FROM ingested_at) * 1000 AS ingested_at_ms, clock_skew_ms
       FROM audit_records WHERE ${this.#isSelected('device_id')} ORDER BY device_id, sequence`,
      (row) => ({
        record: recordFromRow(row),
        recordHash: row.record_hash,
        ingestedAtMs: Number(row.ingested_at_ms),
        clockSkewMs: row.clock_skew_ms === null ? undefined : BigInt(row.clock_skew_ms),
      }),
    );
  }

  locations(): AsyncIterable<readonly LocatedRecord[]> {
    return this.#pages<
      LocationRow & Pick<RecordRow, 'device_id' | 'sequence' | 'payload_hash'> & { record_hash: Buffer },
      LocatedRecord
    >(
      `SELECT device_id, sequence, payload_hash, record_hash, ${locationColumns}
       FROM audit_records WHERE ${this.#isSelected('device_id')} ORDER BY object_key COLLATE "C", object_offset`,
      (row) => ({
        deviceId: row.device_id,
        sequence: BigInt(row.sequence),
        payloadHash: row.payload_hash,
        recordHash: row.record_hash,
        location: locationFromRow(row),
      }),
    );
  }

  /** A record and its log row are written by one statement, so `ingested_at` tells whether the log reaches back to it. */
  logDifferences(): AsyncIterable<readonly LogDifference[]> {
    return this.#pages<{ device_id: string; sequence: string; missing_from: 'ledger' | 'log' }, LogDifference>(
      `SELECT device_id, sequence, CASE WHEN r.is_there THEN 'log' ELSE 'ledger' END AS missing_from
       FROM (SELECT device_id, sequence, true AS is_there FROM audit_records
             WHERE ${this.#isSelected('device_id')}
               AND ingested_at >= (SELECT min(created_at) FROM operation_logs)) r
       FULL JOIN (SELECT device_id, sequence, true AS is_there FROM operation_logs
                  WHERE ${this.#isSelected('device_id')} AND decision = 'Accepted') l USING (device_id, sequence)
       WHERE r.is_there IS NULL OR l.is_there IS NULL
       ORDER BY device_id, sequence`,
      (row) => ({ deviceId: row.device_id, sequence: BigInt(row.sequence), missingFrom: row.missing_from }),
    );
  }

  equivocations(): AsyncIterable<readonly Equivocation[]> {
    return this.#pages<
      Pick<RecordRow, 'device_id' | 'sequence'> & {
        record_hash: Buffer;
        record: Buffer;
        received_at_ms: string;
        ledger_record_hash: Buffer | null;
      },
      Equivocation
    >(
      `SELECT e.device_id, e.sequence, e.record_hash, e.record, extract(epoch FROM e.received_at) * 1000 AS received_at_ms,
              r.record_hash AS ledger_record_hash
       FROM equivocations e LEFT JOIN audit_records r ON r.device_id = e.device_id AND r.sequence = e.sequence
       WHERE ${this.#isSelected('e.device_id')} ORDER BY e.device_id, e.sequence, e.record_hash`,
      (row) => ({
        deviceId: row.device_id,
        sequence: BigInt(row.sequence),
        recordHash: row.record_hash,
        encoded: row.record,
        receivedAtMs: Number(row.received_at_ms),
        ledgerRecordHash: row.ledger_record_hash ?? undefined,
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.#client.release(true);
    await this.#pool.end();
  }

  #isSelected(column: string): string {
    return `($1::text[] IS NULL OR ${column} = ANY($1::text[]))`;
  }

  /** The rows of a statement, whose $1 is the selected devices; the next page is on its way while one is used. */
  async *#pages<R extends pg.QueryResultRow, T>(text: string, fromRow: (row: R) => T): AsyncGenerator<T[]> {
    await this.#query(`DECLARE page NO SCROLL CURSOR FOR ${text}`, [this.#deviceIds]);
    const fetch = () => {
      const rows = this.#query<R>(`FETCH ${rowsPerPage} FROM page`);
      // Thrown when the page's turn comes, if it comes.
      rows.catch(() => {});
      return rows;
    };
    let next = fetch();
    for (let rows = await next; rows.length > 0; rows = await next) {
      next = fetch();
      yield rows.map(fromRow);
    }
    await this.#query('CLOSE page');
  }

  async #query<R extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<R[]> {
    try {
      return (await this.#client.query<R>(text, values)).rows;
    } catch (error) {
      throw unavailable('reading the ledger failed', error);
    }
  }
}
