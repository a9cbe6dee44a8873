import type { RegistryEntry } from '../ledger/device-history.ts';
import type { DeviceChange, DevicePlan } from '../ledger/device-plan.ts';
import type { RegisteredDevice, RegisteredKey } from '../ledger/device-rows.ts';
import type { DeviceKey } from '../record/device.ts';
import { verifyPossession } from '../record/possession.ts';
import type { VerificationKey } from '../record/signature.ts';

/** How the registry and changes of it are printed. */

export function devicesTable(devices: readonly RegisteredDevice[]): string {
  const idWidth = Math.max(0, ...devices.map(({ id }) => id.length));
  const lines = devices.map(({ id, site, enabled, keys, gateways }) => {
    const state = enabled ? 'enabled  ' : 'suspended';
    const place = site === undefined ? '' : `  site ${site}`;
    return [
      `${id.padEnd(idWidth)}  ${state}${place}`,
      ...keys.map((key) => `  ${keyText(key)}  ${window(key)}${proofText(id, key)}`),
      ...gateways.map((identity) => `  gateway ${identity}`),
    ];
  });
  return lines
    .flat()
    .map((line) => `${line}\n`)
    .join('');
}

function window({ validFromMs, validUntilMs, revokedAtMs }: DeviceKey): string {
  const until = validUntilMs === undefined ? '' : ` until ${time(validUntilMs)}`;
  return `from ${time(validFromMs)}${until}${revokedAtMs === undefined ? '' : ` REVOKED ${time(revokedAtMs)}`}`;
}

/** Looked at again: the registry can be written without us. */
function proofText(id: string, key: RegisteredKey): string {
  if (key.proof === undefined) return '';
  return verifyPossession(id, key, key.proof) ? '  proven' : '  PROOF DOES NOT HOLD';
}

/** The file format of `eds device apply`. */
export function devicesJson(devices: readonly RegisteredDevice[]): string {
  const file = {
    devices: devices.map(({ id, site, enabled, keys, gateways }) => ({
      id,
      site,
      enabled,
      keys: keys.map(({ publicKey, scheme, validFromMs, validUntilMs, revokedAtMs, proof }) => ({
        public_key: publicKey.toString('hex'),
        scheme,
        valid_from: time(validFromMs),
        valid_until: validUntilMs === undefined ? undefined : time(validUntilMs),
        revoked: revokedAtMs !== undefined,
        proof: proof?.toString('hex'),
      })),
      gateways,
    })),
  };
  return `${JSON.stringify(file, undefined, 2)}\n`;
}

/** One line a change, `+ ~ -` in front, and `?` before what is registered and not asked for. */
export function planText({ changes, unlisted }: DevicePlan): string {
  const left = unlisted.map(({ id, key }) =>
    key === undefined
      ? `? device ${id} is not in the file: left as it is (--prune suspends it and revokes its keys)`
      : `? key ${id} ${keyText(key)} is not in the file: left as it is (--prune revokes it)`,
  );
  return [...changes.map(changeText), ...left].map((line) => `${line}\n`).join('');
}

function changeText(change: DeviceChange): string {
  switch (change.kind) {
    case 'add-device':
      return `+ device ${change.id}${change.site === undefined ? '' : `, site ${change.site}`}${change.enabled ? '' : ', suspended'}`;
    case 'set-site':
      return `~ device ${change.id}: site ${change.before ?? 'none'} -> ${change.site ?? 'none'}`;
    case 'set-enabled':
      return change.enabled ? `~ device ${change.id}: resumed` : `- device ${change.id}: suspended`;
    case 'add-key': {
      const { validFromMs, validUntilMs, revoked, proof } = change.key;
      const from = validFromMs === undefined ? 'now' : time(validFromMs);
      const until = validUntilMs === undefined || validUntilMs === null ? '' : ` until ${time(validUntilMs)}`;
      return `+ key ${change.id} ${keyText(change.key)} from ${from}${until}${proof ? ', proven' : ''}${revoked ? ', revoked' : ''}`;
    }
    case 'set-validity': {
      const { key, before } = change;
      const validity = [
        timeChange('from', before.validFromMs, key.validFromMs),
        timeChange('until', before.validUntilMs, key.validUntilMs),
      ];
      return `~ key ${change.id} ${keyText(key)}:${validity.join('')}`;
    }
    case 'prove-key':
      return `~ key ${change.id} ${keyText(change.key)}: proven`;
    case 'add-gateway':
      return `+ gateway ${change.id} ${change.identity}`;
    case 'remove-gateway':
      return `- gateway ${change.id} ${change.identity}`;
    case 'revoke-key':
      return `- key ${change.id} ${keyText(change.key)}: revoked`;
  }
}

function timeChange(name: string, before: number | undefined, after: number | undefined): string {
  const [from, to] = [before, after].map((ms) => (ms === undefined ? 'none' : time(ms)));
  return from === to ? '' : ` ${name} ${from} -> ${to}`;
}

/** A line a change. */
export function historyText(entries: readonly RegistryEntry[]): string {
  const idWidth = Math.max(0, ...entries.map(({ deviceId }) => deviceId.length));
  return entries
    .map(({ at, deviceId, change, message, actor }) => {
      const line = `${at.toISOString()}  ${deviceId.padEnd(idWidth)}  ${change}: ${message}, by ${actor}`;
      // Raw SQL may have put anything there.
      return `${line.replaceAll(/[\u0000-\u001f\u007f]/g, '?')}\n`;
    })
    .join('');
}

export function historyJson(entries: readonly RegistryEntry[]): string {
  const changes = entries.map(({ at, deviceId, ...rest }) => ({ at: at.toISOString(), device_id: deviceId, ...rest }));
  return `${JSON.stringify({ changes }, undefined, 2)}\n`;
}

const keyText = ({ scheme, publicKey }: VerificationKey) => `${scheme}:${publicKey.toString('hex')}`;
const time = (ms: number) => new Date(ms).toISOString();
