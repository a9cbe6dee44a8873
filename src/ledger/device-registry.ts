import pg from 'pg';
import { deviceIdFault, gatewayFault, gatewaysPerDeviceMax, keysPerDeviceMax, siteFault } from '../record/device.ts';
import { publicKeyFault } from '../record/public-key.ts';
import type { VerificationKey } from '../record/signature.ts';
import { type Actor, inRegistryTransaction } from './device-actor.ts';
import { type DeviceRow, deviceColumns, deviceFromRow, type RegisteredDevice } from './device-rows.ts';

/** What is asked for cannot be done, and why. */
export class RegistryError extends Error {
  override readonly name = 'RegistryError';
}

/** `proof` is one that holds: see parseEnrolment. */
export type NewKey = VerificationKey & {
  readonly proof?: Buffer | undefined;
  readonly validFrom?: Date | undefined;
  readonly validUntil?: Date | undefined;
};

/**
 * SQLSTATE classes (PostgreSQL documentation, appendix A) of a Postgres that is starting, stopping or full, and of
 * transactions that got in each other's way; and 42P01, a table that is not there before the schema is.
 */
const outages = /^(08|40|53|57|42P01)/;

/** Whether the same may succeed later, with nothing but Postgres changed. What it did not answer, a connection lost. */
export function isOutage(error: unknown): boolean {
  if (error instanceof RegistryError) return false;
  return !(error instanceof pg.DatabaseError) || outages.test(error.code ?? '');
}

/** Writes to the registry. Runs as the owner of the schema; pods only read. Every change is in the operation log. */
export class DeviceRegistry {
  readonly #pool: pg.Pool;
  readonly #actor: Actor;

  constructor(pool: pg.Pool, actor?: string) {
    this.#pool = pool;
    this.#actor = actor;
  }

  /** Every device, in the order of ids. */
  async list(): Promise<RegisteredDevice[]> {
    const { rows } = await this.#pool.query<DeviceRow>(`SELECT ${deviceColumns} FROM devices d ORDER BY d.id`);
    return rows.map(deviceFromRow);
  }

  async find(id: string): Promise<RegisteredDevice | undefined> {
    const { rows } = await this.#pool.query<DeviceRow>(`SELECT ${deviceColumns} FROM devices d WHERE d.id = $1`, [id]);
    return rows[0] && deviceFromRow(rows[0]);
  }

  /** Registers the device with this key. The same again changes nothing. @throws RegistryError */
  async register(id: string, key: NewKey, site?: string): Promise<void> {
    const fault = deviceIdFault(id);
    if (fault !== undefined) throw new RegistryError(`device ${id}: ${fault}`);
    const siteProblem = site === undefined ? undefined : siteFault(site);
    if (siteProblem !== undefined) throw new RegistryError(`site of device ${id}: ${siteProblem}`);
    // Looked at first, so that a service whose role may only read can be told of a device that is there already.
    const known = await this.find(id);
    if (known !== undefined && hasKey(known, key) && (site === undefined || known.site === site)) return;
    await this.#change(async (client) => {
      await client.query('INSERT INTO devices (id, site) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING', [
        id,
        site ?? null,
      ]);
      if (site !== undefined)
        await client.query('UPDATE devices SET site = $2 WHERE id = $1 AND site IS DISTINCT FROM $2', [id, site]);
      await addKey(client, id, key);
    }).catch((error: unknown) => {
      if (!isForbidden(error)) throw error;
      throw new RegistryError(`this role may not register devices: run 'eds device register ${id}' as the owner`);
    });
  }

  /** Adds a key; the device's other keys end `overlapMs` from now, so that both count meanwhile. @throws RegistryError */
  async rotate(id: string, key: NewKey, overlapMs: number): Promise<void> {
    await this.#change(async (client) => {
      await lockDevice(client, id);
      await addKey(client, id, key);
      await client.query(
        `UPDATE device_keys SET valid_until = greatest(clock_timestamp() + make_interval(secs => $3), valid_from + interval '1 ms')
         WHERE device_id = $1 AND NOT (public_key = $2 AND scheme = $4) AND revoked_at IS NULL
           AND (valid_until IS NULL OR valid_until > clock_timestamp() + make_interval(secs => $3))`,
        [id, key.publicKey, overlapMs / 1000, key.scheme],
      );
    });
  }

  /** Revokes one key, or every key of the device. Answers how many. @throws RegistryError when there was none */
  async revoke(id: string, publicKey?: Buffer): Promise<number> {
    return this.#change(async (client) => {
      await lockDevice(client, id);
      const { rowCount } = await client.query(
        `UPDATE device_keys SET revoked_at = clock_timestamp()
         WHERE device_id = $1 AND revoked_at IS NULL AND ($2::bytea IS NULL OR public_key = $2)`,
        [id, publicKey ?? null],
      );
      if (!rowCount) throw new RegistryError(`device ${id} has no such key that is not revoked already`);
      return rowCount;
    });
  }

  /** Suspends or resumes the device. @throws RegistryError when it is unknown */
  async setEnabled(id: string, enabled: boolean): Promise<void> {
    await this.#change(async (client) => {
      await lockDevice(client, id);
      await client.query('UPDATE devices SET enabled = $2 WHERE id = $1 AND enabled <> $2', [id, enabled]);
    });
  }

  /** Lets certificates with this name speak for the device. The same again changes nothing. @throws RegistryError */
  async addGateway(id: string, identity: string): Promise<void> {
    const fault = gatewayFault(identity);
    if (fault !== undefined) throw new RegistryError(`gateway of device ${id}: ${fault}`);
    await this.#change(async (client) => {
      await lockDevice(client, id);
      await client.query(
        'INSERT INTO device_gateways (device_id, identity) VALUES ($1, $2) ON CONFLICT (device_id, identity) DO NOTHING',
        [id, identity],
      );
      const { rowCount } = await client.query('SELECT FROM device_gateways WHERE device_id = $1', [id]);
      if ((rowCount ?? 0) > gatewaysPerDeviceMax)
        throw new RegistryError(`device ${id} would have more than ${gatewaysPerDeviceMax} gateways: remove one first`);
    });
  }

  /** Takes that back, at once. @throws RegistryError when there is no such gateway of the device */
  async removeGateway(id: string, identity: string): Promise<void> {
    await this.#change(async (client) => {
      await lockDevice(client, id);
      const { rowCount } = await client.query('DELETE FROM device_gateways WHERE device_id = $1 AND identity = $2', [
        id,
        identity,
      ]);
      if (!rowCount) throw new RegistryError(`device ${id} has no gateway ${identity}`);
    });
  }

  #change<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    return inRegistryTransaction(this.#pool, this.#actor, work);
  }
}

/** With a proof, if the new one comes with one. */
function hasKey({ keys }: RegisteredDevice, { publicKey, scheme, proof }: NewKey): boolean {
  const same = keys.find((key) => key.scheme === scheme && key.publicKey.equals(publicKey));
  return same !== undefined && same.revokedAtMs === undefined && (proof === undefined || same.proof !== undefined);
}

/** SQLSTATE insufficient_privilege. */
function isForbidden(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '42501';
}

async function lockDevice(client: pg.ClientBase, id: string): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM devices WHERE id = $1 FOR UPDATE', [id]);
  if (!rowCount) throw new RegistryError(`device ${id} is not registered`);
}

async function addKey(client: pg.ClientBase, id: string, key: NewKey): Promise<void> {
  const fault = publicKeyFault(key.publicKey);
  if (fault !== undefined) throw new RegistryError(`public key for device ${id}: ${fault}`);
  const { validFrom, validUntil } = key;
  if (validUntil !== undefined && validUntil.getTime() <= (validFrom?.getTime() ?? Date.now()))
    throw new RegistryError(`public key for device ${id} would end before it begins`);
  await lockDevice(client, id);
  await client.query(
    `INSERT INTO device_keys AS known (device_id, public_key, scheme, valid_from, valid_until, proof)
     VALUES ($1, $2, $3, coalesce($4, clock_timestamp()), $5, $6)
     ON CONFLICT ON CONSTRAINT device_keys_once DO UPDATE SET proof = excluded.proof
       WHERE known.proof IS NULL AND excluded.proof IS NOT NULL`,
    [id, key.publicKey, key.scheme, validFrom ?? null, validUntil ?? null, key.proof ?? null],
  );
  const { rows } = await client.query<{ revoked: boolean; current: string }>(
    `SELECT bool_or(revoked_at IS NOT NULL) FILTER (WHERE public_key = $2 AND scheme = $3) AS revoked,
            count(*) FILTER (WHERE revoked_at IS NULL AND (valid_until IS NULL OR valid_until > clock_timestamp())) AS current
     FROM device_keys WHERE device_id = $1`,
    [id, key.publicKey, key.scheme],
  );
  if (rows[0]?.revoked) throw new RegistryError(`this public key of device ${id} was revoked: register a new one`);
  if (Number(rows[0]?.current) > keysPerDeviceMax)
    throw new RegistryError(`device ${id} would have more than ${keysPerDeviceMax} current keys: revoke one first`);
}
