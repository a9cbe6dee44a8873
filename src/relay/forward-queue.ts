import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { AdmittedRecord } from '../ingest/ports.ts';
import { decodeRecord } from '../record/encoding.ts';
import type { Envelope } from '../record/record.ts';
import type { ChainLinks } from './chain-links.ts';
import type { ForwardOutcome, QueuedEnvelope } from './forward-outcome.ts';
import { bufferOf, inTransaction } from './relay-database.ts';

export type QueueFigures = {
  readonly records: number;
  /** Of records and payloads; the file is somewhat larger. */
  readonly bytes: number;
  /** By this machine's clock, milliseconds since the Unix epoch; undefined when nothing waits. */
  readonly oldestReceivedMs: number | undefined;
};

/** The centre's verdict that holds a device, and how many of its records wait behind it, itself included. */
export type HeldDevice = {
  readonly deviceId: string;
  readonly sequence: bigint;
  readonly code: string;
  readonly error: string;
  readonly refusedMs: number;
  readonly recordsHeld: number;
};

export type TakeOptions = {
  /** Position to begin after. */
  readonly after: bigint;
  /** Devices to leave out. */
  readonly held: ReadonlySet<string>;
  readonly recordsMax: number;
  /** Bound on the bytes taken; a single larger record goes alone. */
  readonly bytesMax: number;
};

/** The records that wait for the centre, on disk, in the order of their arrival. */
export class ForwardQueue {
  readonly #database: DatabaseSync;
  readonly #links: ChainLinks;
  readonly #now: () => number;
  readonly #statements: ReturnType<typeof prepare>;
  #changed = Promise.withResolvers<void>();

  constructor(options: { database: DatabaseSync; links: ChainLinks; now: () => number }) {
    this.#database = options.database;
    this.#links = options.links;
    this.#now = options.now;
    this.#statements = prepare(options.database);
  }

  /** Resolves when something has been appended. */
  get changed(): Promise<void> {
    return this.#changed.promise;
  }

  /** Part of the caller's transaction; it says `notifyChanged` once that is committed. */
  append({ record, encoded, payload }: AdmittedRecord): void {
    const bytes = encoded.length + payload.length;
    const receivedMs = Math.trunc(this.#now());
    this.#statements.append.run(record.deviceId, record.sequence, bytes, receivedMs, encoded, payload);
  }

  notifyChanged(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Whether records of the device wait here. */
  holds(deviceId: string): boolean {
    return this.#statements.anyOf.get(deviceId) !== undefined;
  }

  /** The next ones to send. They stay in the queue until `settle`. */
  take({ after, held, recordsMax, bytesMax }: TakeOptions): QueuedEnvelope[] {
    const taken: QueuedEnvelope[] = [];
    let bytes = 0n;
    for (const row of this.#statements.next.iterate(after, JSON.stringify([...held]), recordsMax)) {
      const { position, bytes: own, record, payload } = row as QueueRow;
      bytes += own;
      if (taken.length > 0 && bytes > bytesMax) break;
      taken.push({ position, envelope: envelopeOf(record, payload) });
    }
    return taken;
  }

  /** Takes out what the centre has, keeps its verdict on what it refused. One small transaction. */
  settle({ delivered, refusals }: ForwardOutcome): void {
    const { remove, unrefuse, refuse } = this.#statements;
    const lastDelivered = new Map<string, bigint>();
    inTransaction(this.#database, () => {
      for (const { position, envelope } of delivered) {
        remove.run(position);
        lastDelivered.set(envelope.record.deviceId, envelope.record.sequence);
      }
      for (const [deviceId, sequence] of lastDelivered) {
        this.#links.prune(deviceId, sequence);
        unrefuse.run(deviceId);
      }
      for (const { queued, code, error } of refusals) {
        const { deviceId, sequence } = queued.envelope.record;
        refuse.run(deviceId, sequence, code, error, Math.trunc(this.#now()));
      }
    });
  }

  figures(): QueueFigures {
    const { records, bytes } = this.#statements.totals.get() as { records: bigint; bytes: bigint };
    const oldest = this.#statements.oldest.get() as { received_ms: bigint } | undefined;
    const oldestReceivedMs = oldest && Number(oldest.received_ms);
    return { records: Number(records), bytes: Number(bytes), oldestReceivedMs };
  }

  heldDevices(): HeldDevice[] {
    return this.#statements.held.all().map((row) => {
      const { device_id, sequence, code, error, refused_ms, records } = row as HeldRow;
      return {
        deviceId: device_id,
        sequence,
        code,
        error,
        refusedMs: Number(refused_ms),
        recordsHeld: Number(records),
      };
    });
  }
}

type QueueRow = { position: bigint; bytes: bigint; record: Uint8Array; payload: Uint8Array };
type HeldRow = {
  device_id: string;
  sequence: bigint;
  code: string;
  error: string;
  refused_ms: bigint;
  records: bigint;
};

function envelopeOf(record: Uint8Array, payload: Uint8Array): Envelope {
  return { record: decodeRecord(bufferOf(record)), payload: bufferOf(payload) };
}

function prepare(
  database: DatabaseSync,
): Record<
  'append' | 'anyOf' | 'next' | 'remove' | 'refuse' | 'unrefuse' | 'totals' | 'oldest' | 'held',
  StatementSync
> {
  return {
    append: database.prepare(
      'INSERT INTO queue (device_id, sequence, bytes, received_ms, record, payload) VALUES (?, ?, ?, ?, ?, ?)',
    ),
    anyOf: database.prepare('SELECT 1 FROM queue WHERE device_id = ? LIMIT 1'),
    next: database.prepare(
      `SELECT position, bytes, record, payload FROM queue
       WHERE position > ? AND device_id NOT IN (SELECT value FROM json_each(?)) ORDER BY position LIMIT ?`,
    ),
    remove: database.prepare('DELETE FROM queue WHERE position = ?'),
    refuse: database.prepare('INSERT OR REPLACE INTO refused VALUES (?, ?, ?, ?, ?)'),
    unrefuse: database.prepare('DELETE FROM refused WHERE device_id = ?'),
    totals: database.prepare('SELECT records, bytes FROM totals'),
    oldest: database.prepare('SELECT received_ms FROM queue ORDER BY position LIMIT 1'),
    held: database.prepare(
      `SELECT r.*, (SELECT count(*) FROM queue q WHERE q.device_id = r.device_id) AS records
       FROM refused r ORDER BY device_id`,
    ),
  };
}
