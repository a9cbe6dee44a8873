import type pg from 'pg';
import type { PayloadLocation } from '../ingest/ports.ts';
import type { DeviceRecord } from '../record/record.ts';
import { unavailable } from './failure.ts';
import {
  type LocationRow,
  locationColumns,
  locationFromRow,
  type RecordRow,
  recordColumns,
  recordFromRow,
} from './record-rows.ts';

export type StoredRecord = { readonly record: DeviceRecord; readonly location: PayloadLocation };

/** The committed record at this place, undefined where none is. Rejects with Unavailable. */
export async function findRecord(pool: pg.Pool, deviceId: string, sequence: bigint): Promise<StoredRecord | undefined> {
  const { rows } = await pool
    .query<RecordRow & LocationRow>(
      `SELECT ${recordColumns}, ${locationColumns} FROM audit_records WHERE device_id = $1 AND sequence = $2`,
      [deviceId, sequence],
    )
    .catch((error: unknown) => {
      throw unavailable('reading the record failed', error);
    });
  return rows[0] && { record: recordFromRow(rows[0]), location: locationFromRow(rows[0]) };
}
