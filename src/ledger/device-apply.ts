import type pg from 'pg';
import { type Actor, inRegistryTransaction } from './device-actor.ts';
import { type DeviceChange, type DevicePlan, type DeviceSpec, planDevices } from './device-plan.ts';
import { RegistryError } from './device-registry.ts';
import { type DeviceRow, deviceColumns, deviceFromRow } from './device-rows.ts';

export type ApplyOptions = {
  readonly prune: boolean;
  readonly requireProof: boolean;
  /** Plan and change nothing. */
  readonly dryRun: boolean;
  readonly actor: Actor;
};

/**
 * Makes the registry as asked for, all of it or nothing, and answers what was changed. Other writers of the registry wait
 * meanwhile; admission only reads it and does not. @throws RegistryError naming everything that cannot be done
 */
export function applyDevices(pool: pg.Pool, specs: readonly DeviceSpec[], options: ApplyOptions): Promise<DevicePlan> {
  return inRegistryTransaction(pool, options.actor, async (client) => {
    if (!options.dryRun) await client.query('LOCK TABLE devices IN EXCLUSIVE MODE');
    const { rows } = await client.query<DeviceRow>(`SELECT ${deviceColumns} FROM devices d ORDER BY d.id`);
    const nowMs = await databaseNowMs(client);
    const plan = planDevices(specs, rows.map(deviceFromRow), { ...options, nowMs });
    if (plan.problems.length > 0) throw new RegistryError(plan.problems.join('; '));
    if (!options.dryRun) for (const change of plan.changes) await apply(client, change);
    return plan;
  });
}

async function databaseNowMs(client: pg.ClientBase): Promise<number> {
  const { rows } = await client.query<{ now: Date }>('SELECT clock_timestamp() AS now');
  const [row] = rows;
  if (row === undefined) throw new Error('SELECT clock_timestamp() answered no row');
  return row.now.getTime();
}

async function apply(client: pg.ClientBase, change: DeviceChange): Promise<void> {
  switch (change.kind) {
    case 'add-device':
      await client.query('INSERT INTO devices (id, site, enabled) VALUES ($1, $2, $3)', [
        change.id,
        change.site ?? null,
        change.enabled,
      ]);
      return;
    case 'set-site':
      await client.query('UPDATE devices SET site = $2 WHERE id = $1', [change.id, change.site ?? null]);
      return;
    case 'set-enabled':
      await client.query('UPDATE devices SET enabled = $2 WHERE id = $1', [change.id, change.enabled]);
      return;
    case 'add-key': {
      const { publicKey, scheme, validFromMs, validUntilMs, revoked = false, proof } = change.key;
      await client.query(
        `INSERT INTO device_keys (device_id, public_key, scheme, valid_from, valid_until, revoked_at, proof)
         VALUES ($1, $2, $3, coalesce($4, clock_timestamp()), $5, CASE WHEN $6::boolean THEN clock_timestamp() END, $7)`,
        [change.id, publicKey, scheme, time(validFromMs), time(validUntilMs), revoked, proof ?? null],
      );
      return;
    }
    case 'prove-key':
      await client.query('UPDATE device_keys SET proof = $4 WHERE device_id = $1 AND public_key = $2 AND scheme = $3', [
        change.id,
        change.key.publicKey,
        change.key.scheme,
        change.proof,
      ]);
      return;
    case 'set-validity': {
      // To the millisecond it is the same time: set to that, it would move by microseconds.
      const { publicKey, scheme, validFromMs, validUntilMs } = change.key;
      await client.query(
        `UPDATE device_keys SET
           valid_from = CASE WHEN date_trunc('milliseconds', valid_from) = $4 THEN valid_from ELSE $4 END,
           valid_until = CASE WHEN date_trunc('milliseconds', valid_until) = $5 THEN valid_until ELSE $5 END
         WHERE device_id = $1 AND public_key = $2 AND scheme = $3`,
        [change.id, publicKey, scheme, time(validFromMs), time(validUntilMs)],
      );
      return;
    }
    case 'revoke-key':
      await client.query(
        `UPDATE device_keys SET revoked_at = clock_timestamp()
         WHERE device_id = $1 AND public_key = $2 AND scheme = $3 AND revoked_at IS NULL`,
        [change.id, change.key.publicKey, change.key.scheme],
      );
      return;
    case 'add-gateway':
      await client.query('INSERT INTO device_gateways (device_id, identity) VALUES ($1, $2)', [
        change.id,
        change.identity,
      ]);
      return;
    case 'remove-gateway':
      await client.query('DELETE FROM device_gateways WHERE device_id = $1 AND identity = $2', [
        change.id,
        change.identity,
      ]);
      return;
  }
}

function time(ms: number | null | undefined): Date | null {
  return ms === undefined || ms === null ? null : new Date(ms);
}
