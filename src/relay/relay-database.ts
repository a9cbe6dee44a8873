import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { applicationId, schema, schemaVersion } from './relay-schema.ts';

/** The relay's database cannot be used. The message names the file and the way out. */
export class RelayDatabaseError extends Error {
  override readonly name = 'RelayDatabaseError';
}

/** How long a relay that is just ending may still hold the file. */
const lockWaitMs = 2_000;
/** SQLite's primary result codes, https://www.sqlite.org/rescode.html. */
const resultCodes = { busy: 5, corrupt: 11, notADatabase: 26 } as const;

/**
 * The database in `directory`, created where there is none. One that is there is checked as a whole before it is used:
 * it may hold the only copy of records that were acknowledged, so nothing is ever repaired or created in its place.
 * The check reads all of the file, measured 1.5 s a gigabyte. Integers are read as bigint.
 * @throws RelayDatabaseError
 */
export function openRelayDatabase(directory: string): DatabaseSync {
  const file = join(directory, 'relay.db');
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (!existsSync(file)) create(file);
    if (statSync(file).size === 0) throw damaged(file, 'it is empty');
    return openExisting(file);
  } catch (error) {
    throw explained(file, error);
  }
}

/** Under another name until it is complete: a crash in here leaves no file that could be taken for an emptied one. */
function create(file: string): void {
  if (existsSync(`${file}-wal`))
    throw damaged(file, `it is gone, and ${file}-wal with its last records is still there`);
  const unfinished = `${file}.new`;
  for (const left of [unfinished, `${unfinished}-journal`]) rmSync(left, { force: true });
  const database = new DatabaseSync(unfinished);
  try {
    database.exec(`PRAGMA synchronous = FULL; PRAGMA application_id = ${applicationId}`);
    inTransaction(database, () => database.exec(`${schema}; PRAGMA user_version = ${schemaVersion}`));
  } finally {
    database.close();
  }
  renameSync(unfinished, file);
  const directory = openSync(dirname(file), 'r');
  fsyncSync(directory);
  closeSync(directory);
}

function openExisting(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: lockWaitMs, readBigInts: true });
  try {
    // A second relay on the same folder would be a second chain: it is kept out by the lock.
    database.exec('PRAGMA locking_mode = EXCLUSIVE');
    if (pragma(database, 'journal_mode = WAL') !== 'wal') throw damaged(file, 'it cannot keep a write-ahead log');
    // Every commit waits for the disk: what was answered survives a power cut.
    database.exec('PRAGMA synchronous = FULL');
    if (pragma(database, 'application_id') !== BigInt(applicationId))
      throw new RelayDatabaseError(`${file} is not the database of a relay: give another --data-dir`);
    const version = pragma(database, 'user_version');
    if (version !== BigInt(schemaVersion))
      throw new RelayDatabaseError(`${file} is of version ${version}, this program knows ${schemaVersion}: update it`);
    const fault = pragma(database, 'integrity_check(1)');
    if (fault !== 'ok') throw damaged(file, String(fault));
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function pragma(database: DatabaseSync, text: string): unknown {
  return Object.values(database.prepare(`PRAGMA ${text}`).get() ?? {})[0];
}

function damaged(file: string, how: string): RelayDatabaseError {
  return new RelayDatabaseError(
    `the relay's database ${file} is damaged: ${how}; it may hold records that nobody else has: ` +
      'keep a copy of the folder, restore the file, or move the folder aside to begin with an empty one',
  );
}

function explained(file: string, error: unknown): unknown {
  if (error instanceof RelayDatabaseError || !(error instanceof Error)) return error;
  const code = 'errcode' in error ? Number(error.errcode) & 0xff : undefined;
  if (code === resultCodes.corrupt || code === resultCodes.notADatabase) return damaged(file, error.message);
  if (code === resultCodes.busy) return new RelayDatabaseError(`${file} is in use: another relay runs on this folder`);
  return new RelayDatabaseError(`cannot use ${file}: ${error.message}`, { cause: error });
}

/** Runs `work` as one transaction: all of it or nothing. Synchronous, as everything of node:sqlite is. */
export function inTransaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    // SQLite has rolled back by itself where the disk is full or failing.
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

/** A blob as the Buffer that the rest of the program speaks. */
export function bufferOf(blob: Uint8Array): Buffer {
  return Buffer.from(blob.buffer, blob.byteOffset, blob.byteLength);
}
