import type pg from 'pg';
import type { CommitBatch, Ledger, RecordPlace } from '../ingest/ports.ts';
import { type ChainHead, genesis } from '../record/record.ts';
import { commitText, commitValues } from './commit.sql.ts';
import { unavailable, writeFailure } from './failure.ts';

/** The ledger in Postgres. Every statement is named, so that a connection parses and plans it once. */
export class PostgresLedger implements Ledger {
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  async commit(batch: CommitBatch): Promise<ReadonlySet<string>> {
    const client = await this.#pool.connect().catch((error: unknown) => {
      throw unavailable('no connection to Postgres', error);
    });
    try {
      const { rows } = await client.query<{ device_id: string }>({
        name: 'commit',
        text: commitText,
        values: commitValues(batch),
      });
      client.release();
      return new Set(rows.map(({ device_id }) => device_id));
    } catch (error) {
      // Whatever failed, the connection's state is in doubt: give it up.
      client.release(true);
      throw writeFailure('commit failed', error);
    }
  }

  async readHeads(deviceIds: readonly string[]): Promise<readonly ChainHead[]> {
    const rows = await this.#read<{ sequence: string | null; record_hash: Buffer }>(
      'heads',
      `SELECT r.sequence, r.record_hash
       FROM unnest($1::text[]) WITH ORDINALITY AS d(id, i)
       LEFT JOIN LATERAL (SELECT sequence, record_hash FROM audit_records
                          WHERE device_id = d.id ORDER BY sequence DESC LIMIT 1) r ON true
       ORDER BY d.i`,
      [deviceIds],
    );
    return rows.map(({ sequence, record_hash }) =>
      sequence === null ? genesis : { sequence: BigInt(sequence), recordHash: record_hash },
    );
  }

  async readRecordHashes(places: readonly RecordPlace[]): Promise<readonly (Buffer | undefined)[]> {
    const rows = await this.#read<{ record_hash: Buffer | null }>(
      'record-hashes',
      `SELECT r.record_hash
       FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS p(device_id, sequence, i)
       LEFT JOIN audit_records r ON r.device_id = p.device_id AND r.sequence = p.sequence
       ORDER BY p.i`,
      [places.map(({ deviceId }) => deviceId), places.map(({ sequence }) => sequence)],
    );
    return rows.map(({ record_hash }) => record_hash ?? undefined);
  }

  async #read<R extends pg.QueryResultRow>(name: string, text: string, values: unknown[]): Promise<R[]> {
    try {
      return (await this.#pool.query<R>({ name, text, values })).rows;
    } catch (error) {
      throw unavailable(`reading ${name} failed`, error);
    }
  }
}
