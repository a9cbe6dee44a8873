import type { Lifecycle } from '../payload-store/bucket-lifecycle.ts';
import { aspectNames, type BucketState, type Encryption, retentionText } from '../payload-store/bucket-state.ts';
import type { InitReport } from '../payload-store/init-bucket.ts';

/** How a prepared bucket is printed. */

export function initText(name: string, report: InitReport): string {
  const rows = Object.entries(rowsOf(report.state));
  const width = Math.max(...rows.map(([label]) => label.length));
  const lines = rows.map(([label, value]) => `  ${label.padEnd(width)}  ${value}\n`);
  return `bucket ${name}: ${outcome(report)}\n${lines.join('')}`;
}

function outcome({ created, changed }: InitReport): string {
  if (created) return 'created';
  if (changed.length === 0) return 'was there, nothing changed';
  return `was there, changed ${changed.map((aspect) => aspectNames[aspect]).join(', ')}`;
}

function rowsOf({ versioning, objectLock, retention, encryption, lifecycle }: BucketState) {
  return {
    [aspectNames.versioning]: onOff(versioning),
    [aspectNames.objectLock]: onOff(objectLock),
    [aspectNames.retention]: retention === undefined ? 'none' : retentionText(retention),
    [aspectNames.encryption]: encryption === undefined ? 'none' : encryptionText(encryption),
    [aspectNames.lifecycle]: lifecycle === undefined ? 'none' : lifecycleText(lifecycle),
  };
}

const onOff = (value: boolean) => (value ? 'on' : 'off');

const encryptionText = ({ algorithm, keyId }: Encryption) =>
  keyId === undefined ? algorithm : `${algorithm} with key ${keyId}`;

function lifecycleText({ tiers, expireDays, oldVersionDays }: Lifecycle): string {
  return [
    ...tiers.map(({ storageClass, days }) => `${storageClass} after ${days} days`),
    ...(expireDays === undefined ? [] : [`expires after ${expireDays} days`]),
    ...(oldVersionDays === undefined ? [] : [`old versions deleted ${oldVersionDays} days later`]),
  ].join(', ');
}

/** One line; what is not there is null. */
export function initJson(name: string, { created, changed, state }: InitReport): string {
  const { versioning, objectLock, retention, encryption, lifecycle } = state;
  const json = {
    bucket: name,
    created,
    changed: changed.map((aspect) => aspectNames[aspect]),
    versioning,
    object_lock: objectLock,
    retention: retention ?? null,
    encryption: encryption === undefined ? null : { algorithm: encryption.algorithm, key_id: encryption.keyId ?? null },
    lifecycle: lifecycle === undefined ? null : lifecycleJson(lifecycle),
  };
  return `${JSON.stringify(json)}\n`;
}

const lifecycleJson = ({ tiers, expireDays, oldVersionDays }: Lifecycle) => ({
  tiers: tiers.map(({ storageClass, days }) => ({ storage_class: storageClass, days })),
  expire_days: expireDays ?? null,
  old_version_days: oldVersionDays ?? null,
});
