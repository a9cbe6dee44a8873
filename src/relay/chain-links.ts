import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { ChainHead } from '../record/record.ts';
import { bufferOf } from './relay-database.ts';

/** Hashes kept of a device's delivered records, some 100 bytes each: many times what a device sends again at once. */
const deliveredLinksMax = 10_000n;

/** The links of each device's chain that this relay knows. The caller has the transaction, where there is one. */
export class ChainLinks {
  readonly #head: StatementSync;
  readonly #at: StatementSync;
  readonly #add: StatementSync;
  readonly #prune: StatementSync;

  constructor(database: DatabaseSync) {
    this.#head = database.prepare(
      'SELECT sequence, record_hash FROM links WHERE device_id = ? ORDER BY sequence DESC LIMIT 1',
    );
    this.#at = database.prepare('SELECT sequence, record_hash FROM links WHERE device_id = ? AND sequence = ?');
    this.#add = database.prepare('INSERT INTO links VALUES (?, ?, ?)');
    this.#prune = database.prepare('DELETE FROM links WHERE device_id = ? AND sequence < ?');
  }

  /** The last link; undefined where nothing is known of the device's chain, not even that it is empty. */
  head(deviceId: string): ChainHead | undefined {
    return linkOf(this.#head.get(deviceId));
  }

  hashAt(deviceId: string, sequence: bigint): Buffer | undefined {
    return linkOf(this.#at.get(deviceId, sequence))?.recordHash;
  }

  add(deviceId: string, { sequence, recordHash }: ChainHead): void {
    this.#add.run(deviceId, sequence, recordHash);
  }

  /** The centre has the device's records up to `sequence`: forgets the oldest of them. */
  prune(deviceId: string, sequence: bigint): void {
    this.#prune.run(deviceId, sequence - deliveredLinksMax);
  }
}

function linkOf(row: unknown): ChainHead | undefined {
  if (row === undefined) return undefined;
  const { sequence, record_hash } = row as { sequence: bigint; record_hash: Uint8Array };
  return { sequence, recordHash: bufferOf(record_hash) };
}
