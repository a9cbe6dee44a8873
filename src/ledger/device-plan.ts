import { type DeviceKey, keysPerDeviceMax } from '../record/device.ts';
import type { VerificationKey } from '../record/signature.ts';
import type { RegisteredDevice, RegisteredKey } from './device-rows.ts';

/**
 * A device as it should be. What is left out (undefined) stays as it is, so that a file which does not speak of
 * `enabled` cannot resume a device that was suspended by hand. null takes a value away.
 */
export type DeviceSpec = {
  readonly id: string;
  readonly site?: string | null | undefined;
  readonly enabled?: boolean | undefined;
  readonly keys: readonly KeySpec[];
  /** Exactly these. */
  readonly gateways?: readonly string[] | undefined;
};

/**
 * Times in milliseconds since the Unix epoch. A key that is new and has no `validFromMs` counts from now on. `proof` is one
 * that holds.
 */
export type KeySpec = VerificationKey & {
  readonly validFromMs?: number | undefined;
  readonly validUntilMs?: number | null | undefined;
  readonly revoked?: boolean | undefined;
  readonly proof?: Buffer | undefined;
};

export type DeviceChange = { readonly id: string } & (
  | { readonly kind: 'add-device'; readonly site: string | undefined; readonly enabled: boolean }
  | { readonly kind: 'set-site'; readonly site: string | undefined; readonly before: string | undefined }
  | { readonly kind: 'set-enabled'; readonly enabled: boolean }
  | { readonly kind: 'add-key'; readonly key: KeySpec }
  | { readonly kind: 'set-validity'; readonly key: Validity; readonly before: Validity }
  | { readonly kind: 'prove-key'; readonly key: VerificationKey; readonly proof: Buffer }
  | { readonly kind: 'revoke-key'; readonly key: VerificationKey }
  | { readonly kind: 'add-gateway' | 'remove-gateway'; readonly identity: string }
);
export type Validity = VerificationKey & Pick<DeviceKey, 'validFromMs' | 'validUntilMs'>;

export type DevicePlan = {
  readonly changes: readonly DeviceChange[];
  /** What is registered and not asked for; with `prune` it is among the changes instead. */
  readonly unlisted: readonly { readonly id: string; readonly key: VerificationKey | undefined }[];
  /** Why the plan must not be carried out, if it is not empty. */
  readonly problems: readonly string[];
};

export type PlanOptions = {
  /** Suspend devices and revoke keys that are not asked for. Nothing is ever deleted: records refer to it. */
  readonly prune: boolean;
  /** Refuse keys that would count without a proof of possession. */
  readonly requireProof: boolean;
  /** By Postgres's clock, which judges the changes as well. */
  readonly nowMs: number;
};

/** A pod whose clock is ahead counts a key early: until then its beginning can move. The trigger on device_keys says the same. */
const beginMarginMs = 60_000;

/** What has to change in the registry so that it is as asked for. */
export function planDevices(
  specs: readonly DeviceSpec[],
  registered: readonly RegisteredDevice[],
  options: PlanOptions,
): DevicePlan {
  const planner = new Planner(options);
  const found = new Map(registered.map((device) => [device.id, device]));
  for (const spec of specs) planner.plan(spec, found.get(spec.id));
  const listed = new Set(specs.map(({ id }) => id));
  for (const device of registered) if (!listed.has(device.id)) planner.retire(device);
  return planner;
}

class Planner implements DevicePlan {
  readonly changes: DeviceChange[] = [];
  readonly unlisted: { id: string; key: VerificationKey | undefined }[] = [];
  readonly problems: string[] = [];
  readonly #prune: boolean;
  readonly #requireProof: boolean;
  readonly #nowMs: number;

  constructor({ prune, requireProof, nowMs }: PlanOptions) {
    this.#prune = prune;
    this.#requireProof = requireProof;
    this.#nowMs = nowMs;
  }

  plan(spec: DeviceSpec, device: RegisteredDevice | undefined): void {
    const { id, site, enabled } = spec;
    if (device === undefined)
      this.changes.push({ id, kind: 'add-device', site: site ?? undefined, enabled: enabled ?? true });
    else {
      if (site !== undefined && (site ?? undefined) !== device.site)
        this.changes.push({ id, kind: 'set-site', site: site ?? undefined, before: device.site });
      if (enabled !== undefined && enabled !== device.enabled) this.changes.push({ id, kind: 'set-enabled', enabled });
    }
    const keys = device?.keys ?? [];
    let current = 0;
    for (const key of spec.keys) {
      const before = keys.find((one) => isSameKey(one, key));
      if (this.#planKey(id, key, before)) current++;
    }
    for (const key of keys) {
      if (key.revokedAtMs !== undefined || spec.keys.some((one) => isSameKey(one, key))) continue;
      this.#retireKey(id, key);
      if (!this.#prune && this.#lasts(key.validUntilMs)) current++;
    }
    if (current > keysPerDeviceMax)
      this.problems.push(`device ${id} would have ${current} current keys: the most is ${keysPerDeviceMax}`);
    const before = device?.gateways ?? [];
    const after = spec.gateways ?? before;
    for (const identity of after)
      if (!before.includes(identity)) this.changes.push({ id, kind: 'add-gateway', identity });
    for (const identity of before)
      if (!after.includes(identity)) this.changes.push({ id, kind: 'remove-gateway', identity });
  }

  retire(device: RegisteredDevice): void {
    const { id, enabled } = device;
    const keys = device.keys.filter((key) => key.revokedAtMs === undefined);
    if (!enabled && keys.length === 0) return;
    if (!this.#prune) this.unlisted.push({ id, key: undefined });
    else {
      if (enabled) this.changes.push({ id, kind: 'set-enabled', enabled: false });
      for (const key of keys) this.changes.push({ id, kind: 'revoke-key', key });
    }
  }

  #retireKey(id: string, key: VerificationKey): void {
    if (this.#prune) this.changes.push({ id, kind: 'revoke-key', key });
    else this.unlisted.push({ id, key });
  }

  /** Answers whether the key will count, now or later. */
  #planKey(id: string, key: KeySpec, before: RegisteredKey | undefined): boolean {
    const validFromMs = key.validFromMs ?? before?.validFromMs ?? this.#nowMs;
    const validUntilMs = key.validUntilMs === undefined ? before?.validUntilMs : (key.validUntilMs ?? undefined);
    if (validUntilMs !== undefined && validUntilMs <= validFromMs)
      this.problems.push(`${keyName(id, key)} would end before it begins`);
    if (before?.revokedAtMs !== undefined) {
      if (key.revoked === false)
        this.problems.push(`${keyName(id, key)} was revoked and stays so: register a new key in its place`);
      return false;
    }
    if (before === undefined) this.changes.push({ id, kind: 'add-key', key });
    else {
      const { scheme, publicKey } = key;
      this.#planValidity(id, { scheme, publicKey, validFromMs, validUntilMs }, before);
      if (key.proof !== undefined && before.proof === undefined)
        this.changes.push({ id, kind: 'prove-key', key, proof: key.proof });
      if (key.revoked) this.changes.push({ id, kind: 'revoke-key', key });
    }
    const counts = !key.revoked && this.#lasts(validUntilMs);
    if (counts && this.#requireProof && (key.proof ?? before?.proof) === undefined)
      this.problems.push(`${keyName(id, key)} has no proof of possession: run 'eds device enrol' on the device's side`);
    return counts;
  }

  /** Records are re-checked with the key's times as of their acceptance: what these say of the past has to stay. */
  #planValidity(id: string, key: Validity, before: DeviceKey): void {
    const movesFrom = !isSameTime(key.validFromMs, before.validFromMs);
    const movesUntil = !isSameTime(key.validUntilMs, before.validUntilMs);
    if (!movesFrom && !movesUntil) return;
    const name = keyName(id, key);
    if (movesFrom && before.validFromMs <= this.#nowMs + beginMarginMs)
      this.problems.push(
        `${name} counts since ${time(before.validFromMs)}, or is about to: leave valid_from out, it cannot move any more`,
      );
    else if (movesFrom && key.validFromMs < this.#nowMs)
      this.problems.push(`${name}: valid_from cannot move into the past, to ${time(key.validFromMs)}`);
    if (movesUntil && !this.#lasts(before.validUntilMs))
      this.problems.push(`${name} has ended: valid_until cannot move any more, register a new key in its place`);
    else if (movesUntil && key.validUntilMs !== undefined && key.validUntilMs < this.#nowMs)
      this.problems.push(
        `${name}: valid_until cannot move into the past, to ${time(key.validUntilMs)}: revoke the key, and it ends now`,
      );
    this.changes.push({ id, kind: 'set-validity', key, before });
  }

  #lasts(validUntilMs: number | undefined): boolean {
    return validUntilMs === undefined || validUntilMs > this.#nowMs;
  }
}

const keyName = (id: string, { scheme, publicKey }: VerificationKey) =>
  `key ${id} ${scheme}:${publicKey.toString('hex')}`;

const time = (ms: number) => new Date(ms).toISOString();

function isSameKey(a: VerificationKey, b: VerificationKey): boolean {
  return a.scheme === b.scheme && a.publicKey.equals(b.publicKey);
}

/** To the millisecond: Postgres keeps microseconds, which a file does not. */
function isSameTime(a: number | undefined, b: number | undefined): boolean {
  return a === undefined || b === undefined ? a === b : Math.floor(a) === Math.floor(b);
}
