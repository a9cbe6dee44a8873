import type pg from 'pg';
import type { Device, DeviceKey } from '../record/device.ts';
import type { SignatureScheme } from '../record/signature.ts';

/** A device with its keys and gateways, as the registry's queries answer it. Times are milliseconds since the Unix epoch. */
export const deviceColumns = `
  d.id, d.site, d.enabled, d.revision,
  coalesce((SELECT json_agg(json_build_object(
      'public_key', encode(k.public_key, 'hex'), 'scheme', k.scheme,
      'valid_from_ms', extract(epoch FROM k.valid_from) * 1000,
      'valid_until_ms', extract(epoch FROM k.valid_until) * 1000,
      'revoked_at_ms', extract(epoch FROM k.revoked_at) * 1000,
      'proof', encode(k.proof, 'hex')) ORDER BY k.id)
    FROM device_keys k WHERE k.device_id = d.id), '[]') AS keys,
  coalesce((SELECT json_agg(g.identity ORDER BY g.identity)
    FROM device_gateways g WHERE g.device_id = d.id), '[]') AS gateways`;

export interface DeviceRow extends pg.QueryResultRow {
  id: string;
  site: string | null;
  enabled: boolean;
  revision: string;
  keys: KeyJson[];
  gateways: string[];
}

type KeyJson = {
  public_key: string;
  scheme: SignatureScheme;
  valid_from_ms: number;
  valid_until_ms: number | null;
  revoked_at_ms: number | null;
  proof: string | null;
};

/** A device with all that the registry keeps of it: `proof` is that of possession.ts, where there is one. */
export type RegisteredDevice = Omit<Device, 'keys'> & {
  readonly site: string | undefined;
  readonly keys: readonly RegisteredKey[];
};
export type RegisteredKey = DeviceKey & { readonly proof: Buffer | undefined };

export function deviceFromRow({ site, revision, keys, id, enabled, gateways }: DeviceRow): RegisteredDevice {
  return { id, site: site ?? undefined, enabled, revision: BigInt(revision), keys: keys.map(keyFromJson), gateways };
}

function keyFromJson(key: KeyJson): RegisteredKey {
  return {
    publicKey: Buffer.from(key.public_key, 'hex'),
    scheme: key.scheme,
    validFromMs: key.valid_from_ms,
    validUntilMs: key.valid_until_ms ?? undefined,
    revokedAtMs: key.revoked_at_ms ?? undefined,
    proof: key.proof === null ? undefined : Buffer.from(key.proof, 'hex'),
  };
}
