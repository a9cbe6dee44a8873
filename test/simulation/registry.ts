import type { Device } from '../../src/record/device.ts';
import type { DeviceModel } from './device-model.ts';

/** A device as it was from `fromMs` on. */
export type DeviceVersion = { readonly device: Device; readonly fromMs: number };

/** The registry of devices with its history. Every change moves the device's revision. */
export class Registry {
  readonly #versions = new Map<string, DeviceVersion[]>();
  #revisions = 0n;

  register({ id, scheme, keys: [first] }: DeviceModel, nowMs: number): void {
    const key = { scheme, publicKey: first.publicKey, validFromMs: 0, validUntilMs: undefined, revokedAtMs: undefined };
    this.#add({ id, enabled: true, keys: [key], gateways: [] }, nowMs);
  }

  current(deviceId: string): Device | undefined {
    return this.#versions.get(deviceId)?.at(-1)?.device;
  }

  /** The versions in force at some moment between two. */
  between(deviceId: string, fromMs: number, untilMs: number): DeviceVersion[] {
    const versions = this.#versions.get(deviceId) ?? [];
    return versions.filter((version, index) => {
      const endMs = versions[index + 1]?.fromMs ?? Infinity;
      return version.fromMs <= untilMs && endMs >= fromMs;
    });
  }

  change(deviceId: string, nowMs: number, how: (device: Device) => Omit<Device, 'revision'>): void {
    const device = this.current(deviceId);
    if (device !== undefined) this.#add(how(device), nowMs);
  }

  #add(device: Omit<Device, 'revision'>, fromMs: number): void {
    const versions = this.#versions.get(device.id) ?? [];
    versions.push({ device: { ...device, revision: ++this.#revisions }, fromMs });
    this.#versions.set(device.id, versions);
  }
}
