import pg from 'pg';
import { Batcher } from '../ingest/batcher.ts';
import type { Clock, DeviceDirectory } from '../ingest/ports.ts';
import type { Device } from '../record/device.ts';
import { type DeviceRow, deviceColumns, deviceFromRow, type RegisteredDevice } from './device-rows.ts';
import { unavailable } from './failure.ts';

/** About 500 bytes each, and what gateways it has. Unknown ids are remembered as well, so a flood of them is mostly answered from memory. */
const devicesMax = 100_000;
const lookupsPerQueryMax = 512;
/**
 * How old a memory may be that a refusal rests on. It bounds what a flood of refusals costs to ten reads of each device a
 * second, and is less than it takes a device to hear of its registration.
 */
const confirmedForMs = 100;
/** Half of the second within which a revocation must reach every pod, should its notification be lost. */
const pollEveryMs = 500;
/** The poll asks for what changed within this. A transaction that changes a device must not last longer. */
const pollWindowSeconds = 60;
/** After a gap in the polls of this length, nothing that is remembered can be trusted. */
const pollGapMaxMs = (pollWindowSeconds * 1000) / 2;
/** Changed devices that one poll names; past it, everything is forgotten. */
const changesPerPollMax = 1000;

/** What was last asked of a device: the answer, or the promise of it until it is there. */
type Memory = { readonly askedMs: number; device: Device | undefined | Promise<Device | undefined> };

/**
 * The registry as a pod remembers it. Postgres notifies of every change; a periodic re-read stands behind that, and the
 * fence of the admission statement (`revision`) behind both: what is remembered here can cost a second look, never a
 * wrong verdict.
 */
export class PostgresDeviceDirectory implements DeviceDirectory, AsyncDisposable {
  readonly #pool: pg.Pool;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #devices = new Map<string, Memory>();
  readonly #lookups: Batcher<string, Device | undefined>;
  readonly #listenerConfig: pg.ClientConfig;
  readonly #onError: (error: unknown) => void;
  readonly #timer: NodeJS.Timeout;
  #listener: pg.Client | undefined;
  #polledMs: number;
  #polling: Promise<void> | undefined;
  #closed = false;

  /** @param listenerConfig of the one connection that listens for changes, outside the pool */
  constructor(options: {
    pool: pg.Pool;
    listenerConfig: pg.ClientConfig;
    clock: Pick<Clock, 'now' | 'defer'>;
    onError: (error: unknown) => void;
  }) {
    this.#pool = options.pool;
    this.#clock = options.clock;
    this.#onError = options.onError;
    this.#listenerConfig = options.listenerConfig;
    this.#polledMs = this.#clock.now();
    this.#lookups = new Batcher({
      defer: options.clock.defer,
      itemsMax: lookupsPerQueryMax,
      run: (ids: readonly string[]) => this.#load(ids),
    });
    this.#timer = setInterval(() => {
      this.#polling ??= this.#poll().finally(() => {
        this.#polling = undefined;
      });
    }, pollEveryMs);
    this.#timer.unref();
  }

  find(deviceId: string): Device | undefined | Promise<Device | undefined> {
    const memory = this.#devices.get(deviceId);
    if (memory === undefined) return this.#read(deviceId);
    this.#remember(deviceId, memory);
    return memory.device;
  }

  async confirm(deviceId: string): Promise<Device | undefined> {
    const memory = this.#devices.get(deviceId);
    // Either way: the clock may have been set back.
    const isFresh = memory !== undefined && Math.abs(this.#clock.now() - memory.askedMs) < confirmedForMs;
    return isFresh ? memory.device : this.#read(deviceId);
  }

  forget(deviceId: string): void {
    this.#devices.delete(deviceId);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#polling;
    await this.#listener?.end();
  }

  /** Reads the device anew. Whoever asks meanwhile waits for the same answer; it is not kept if forgotten until then. */
  #read(deviceId: string): Promise<Device | undefined> {
    const device = this.#lookups.add(deviceId);
    const memory: Memory = { askedMs: this.#clock.now(), device };
    this.#remember(deviceId, memory);
    device.then(
      (found) => {
        memory.device = found;
      },
      () => {
        if (this.#devices.get(deviceId) === memory) this.forget(deviceId);
      },
    );
    return device;
  }

  #remember(deviceId: string, memory: Memory): void {
    this.#devices.delete(deviceId);
    this.#devices.set(deviceId, memory);
    if (this.#devices.size > devicesMax) {
      for (const oldest of this.#devices.keys()) {
        this.#devices.delete(oldest);
        break;
      }
    }
  }

  async #load(ids: readonly string[]): Promise<(Device | undefined)[]> {
    try {
      const { rows } = await this.#pool.query<DeviceRow>({
        name: 'devices',
        text: `SELECT ${deviceColumns} FROM devices d WHERE d.id = ANY($1::text[])`,
        values: [ids],
      });
      const found = new Map(rows.map((row) => [row.id, remembered(deviceFromRow(row))]));
      return ids.map((id) => found.get(id));
    } catch (error) {
      throw unavailable('reading devices failed', error);
    }
  }

  async #poll(): Promise<void> {
    try {
      await this.#listen();
      const { rows } = await this.#pool.query<{ id: string }>({
        name: 'changed-devices',
        text: `SELECT id FROM devices WHERE updated_at > clock_timestamp() - make_interval(secs => $1) LIMIT $2`,
        values: [pollWindowSeconds, changesPerPollMax],
      });
      const nowMs = this.#clock.now();
      if (rows.length === changesPerPollMax || nowMs - this.#polledMs > pollGapMaxMs) this.#devices.clear();
      for (const { id } of rows) this.forget(id);
      this.#polledMs = nowMs;
    } catch (error) {
      this.#onError(unavailable('re-reading changed devices failed', error));
    }
  }

  /** Listens for changes, anew where the connection was lost. What changed meanwhile the poll finds. */
  async #listen(): Promise<void> {
    if (this.#listener !== undefined || this.#closed) return;
    const client = new pg.Client(this.#listenerConfig);
    const lost = () => {
      if (this.#listener === client) this.#listener = undefined;
    };
    client.on('notification', ({ payload }) => this.forget(payload ?? ''));
    client.on('error', (error) => {
      lost();
      this.#onError(unavailable('the listener for device changes was lost', error));
    });
    client.on('end', lost);
    try {
      await client.connect();
      await client.query('LISTEN edgesentry_device');
    } catch (error) {
      // Each poll tries again: what is left open would add up.
      await client.end();
      throw error;
    }
    this.#listener = client;
  }
}

/** What admission asks of a device. A revoked key counts no more, whatever this pod's clock says of the moment. */
function remembered({ id, enabled, revision, keys, gateways }: RegisteredDevice): Device {
  const current = keys.filter(({ revokedAtMs }) => revokedAtMs === undefined);
  return { id, enabled, revision, gateways, keys: current.map(({ proof: _, ...key }) => key) };
}
