import type { LifecycleRule, TransitionStorageClass } from '@aws-sdk/client-s3';

/** Objects move to `storageClass` when they are `days` old. */
export type Tier = { readonly storageClass: string; readonly days: number };

/** What happens to the objects of the whole bucket as they grow older. */
export type Lifecycle = {
  /** Earliest first. */
  readonly tiers: readonly Tier[];
  readonly expireDays: number | undefined;
  /** How long what was expired, deleted or overwritten stays as an old version of a bucket with versioning. */
  readonly oldVersionDays: number | undefined;
};

/** Time to notice a wrong expiry, or somebody's deletion, and to bring the versions back. */
const oldVersionDays = 30;
/** Parts of an upload that never ended are billed and appear in no listing. The service never uploads in parts. */
const abortUploadDays = 7;
/** S3 refuses an earlier transition to these (API reference, Transition). */
const infrequentAccess: ReadonlySet<string> = new Set(['STANDARD_IA', 'ONEZONE_IA']);
const infrequentAccessDaysMin = 30;
/** Reading from these needs RestoreObject first, which takes hours. GLACIER_IR is read at once. */
const archives: ReadonlySet<string> = new Set(['GLACIER', 'DEEP_ARCHIVE']);

/** Without `expireDays` nothing is ever deleted, old versions included. */
export function lifecycleOf(tiers: readonly Tier[], expireDays: number | undefined): Lifecycle | undefined {
  if (tiers.length === 0 && expireDays === undefined) return undefined;
  return { tiers, expireDays, oldVersionDays: expireDays === undefined ? undefined : oldVersionDays };
}

/** Why no store takes this, in words; undefined when it is sound. */
export function lifecycleFault({ tiers, expireDays }: Lifecycle): string | undefined {
  for (const [index, { storageClass, days }] of tiers.entries()) {
    const previous = tiers[index - 1];
    if (tiers.findIndex((tier) => tier.storageClass === storageClass) < index)
      return `storage class ${storageClass} is named twice`;
    if (previous !== undefined && days <= previous.days)
      return `${storageClass} after ${days} days has to come later than ${previous.storageClass} after ${previous.days}`;
    if (infrequentAccess.has(storageClass) && days < infrequentAccessDaysMin)
      return `S3 moves nothing to ${storageClass} before ${infrequentAccessDaysMin} days, ${days} were asked for`;
    if (expireDays !== undefined && expireDays <= days)
      return `expiry after ${expireDays} days has to come later than ${storageClass} after ${days}`;
  }
  return undefined;
}

/** The storage classes from which nothing can be read without restoring it first. */
export function archiveClasses(lifecycle: Lifecycle | undefined): string[] {
  return (lifecycle?.tiers ?? []).map(({ storageClass }) => storageClass).filter((name) => archives.has(name));
}

/** By which our rule is found again among those of others. */
const ruleId = 'edgesentry';

export const isOurs = (rule: LifecycleRule) => rule.ID === ruleId;

/**
 * One rule for all, since MinIO refuses one that does nothing but abort uploads. MinIO also drops that part: it ends such
 * uploads by itself after a day. So `readRule` does not look for it.
 */
export function writeRule({ tiers, expireDays, oldVersionDays }: Lifecycle): LifecycleRule {
  return {
    ID: ruleId,
    Status: 'Enabled',
    Filter: { Prefix: '' },
    // The SDK lists the classes of AWS; MinIO's are whatever its tiers are called.
    ...(tiers.length > 0 && {
      Transitions: tiers.map((tier) => ({
        Days: tier.days,
        StorageClass: tier.storageClass as TransitionStorageClass,
      })),
    }),
    ...(expireDays !== undefined && { Expiration: { Days: expireDays } }),
    ...(oldVersionDays !== undefined && { NoncurrentVersionExpiration: { NoncurrentDays: oldVersionDays } }),
    AbortIncompleteMultipartUpload: { DaysAfterInitiation: abortUploadDays },
  };
}

/** Our rule among the bucket's; undefined when it is missing, switched off or narrowed to some objects. */
export function readRule(rules: readonly LifecycleRule[]): Lifecycle | undefined {
  const rule = rules.find(isOurs);
  if (rule?.Status !== 'Enabled' || !coversAll(rule)) return undefined;
  const tiers = (rule.Transitions ?? []).map(({ StorageClass = '', Days = 0 }) => ({
    storageClass: StorageClass,
    days: Days,
  }));
  return {
    tiers: tiers.toSorted((left, right) => left.days - right.days),
    expireDays: rule.Expiration?.Days,
    oldVersionDays: rule.NoncurrentVersionExpiration?.NoncurrentDays,
  };
}

function coversAll({ Filter: filter = {} }: LifecycleRule): boolean {
  const { Prefix: prefix = '', ...narrower } = filter;
  return prefix === '' && Object.values(narrower).every((condition) => condition === undefined);
}
