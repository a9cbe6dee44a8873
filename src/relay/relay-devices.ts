import type { DatabaseSync } from 'node:sqlite';
import type { DeviceDirectory } from '../ingest/ports.ts';
import { type Device, deviceIdFault, keysPerDeviceMax } from '../record/device.ts';
import { publicKeyFault } from '../record/public-key.ts';
import type { SignatureScheme, VerificationKey } from '../record/signature.ts';
import type { ChainStart } from './chain-start.ts';
import { bufferOf, inTransaction } from './relay-database.ts';

export type SiteDevice = { readonly id: string; readonly key: VerificationKey };

/** Nothing changes while the relay runs, so every record is judged under the same revision. */
const revision = 0n;

/**
 * Keeps the keys of the site's devices. Those given for a device take the place of those kept of it.
 * @throws RangeError naming the device whose id or key cannot be registered
 */
export function keepDevices(database: DatabaseSync, given: readonly SiteDevice[]): void {
  const byDevice = Map.groupBy(given, ({ id }) => id);
  for (const [id, devices] of byDevice) {
    const fault = deviceIdFault(id) ?? devices.map(({ key }) => publicKeyFault(key.publicKey)).find(Boolean);
    if (fault !== undefined) throw new RangeError(`device ${id}: ${fault}`);
    if (devices.length > keysPerDeviceMax) throw new RangeError(`device ${id}: more than ${keysPerDeviceMax} keys`);
  }
  inTransaction(database, () => {
    for (const id of byDevice.keys()) database.prepare('DELETE FROM device_keys WHERE device_id = ?').run(id);
    const insert = database.prepare('INSERT OR IGNORE INTO device_keys VALUES (?, ?, ?)');
    for (const { id, key } of given) insert.run(id, key.publicKey, key.scheme);
  });
}

/** The devices of the site, in memory: some hundreds at most. A key counts as long as it is kept; its times are the centre's to judge. */
export class RelayDevices implements DeviceDirectory {
  readonly #devices: ReadonlyMap<string, Device>;
  readonly #chainStart: ChainStart;

  constructor(database: DatabaseSync, chainStart: ChainStart) {
    const rows = database.prepare('SELECT device_id, public_key, scheme FROM device_keys').all() as KeyRow[];
    const devices = [...Map.groupBy(rows, ({ device_id }) => device_id)].map(([id, keys]): Device => {
      return { id, enabled: true, revision, keys: keys.map(keyOf), gateways: [] };
    });
    this.#devices = new Map(devices.map((device) => [device.id, device]));
    this.#chainStart = chainStart;
  }

  get count(): number {
    return this.#devices.size;
  }

  /** Rejects with Unavailable as well while it is not known what the device's chain hangs on. */
  find(deviceId: string): Device | undefined | Promise<Device> {
    const device = this.#devices.get(deviceId);
    if (device === undefined || this.#chainStart.isKnown(deviceId)) return device;
    return this.#chainStart.learn(deviceId).then(() => device);
  }

  async confirm(deviceId: string): Promise<Device | undefined> {
    return this.find(deviceId);
  }

  forget(): void {}
}

type KeyRow = { device_id: string; public_key: Uint8Array; scheme: SignatureScheme };

function keyOf({ public_key, scheme }: KeyRow): Device['keys'][number] {
  return { scheme, publicKey: bufferOf(public_key), validFromMs: 0, validUntilMs: undefined, revokedAtMs: undefined };
}
