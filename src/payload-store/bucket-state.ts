import { isDeepStrictEqual } from 'node:util';
import type { ServerSideEncryption } from '@aws-sdk/client-s3';
import { type Lifecycle, lifecycleFault, lifecycleOf, type Tier } from './bucket-lifecycle.ts';

/** From weak to strong. Governance mode: who has s3:BypassGovernanceRetention can still delete. Compliance: nobody. */
export const retentionModes = ['governance', 'compliance'] as const;
export type RetentionMode = (typeof retentionModes)[number];

/** How long every new object is locked. Objects that are there keep what they were written with. */
export type Retention = { readonly mode: RetentionMode; readonly days: number };

/** Of every new object, unless its put says otherwise. */
export type Encryption = { readonly algorithm: ServerSideEncryption; readonly keyId: string | undefined };

/** As read from the store, or as it should be. */
export type BucketState = {
  readonly versioning: boolean;
  /** Objects can be locked against deletion. Includes versioning. */
  readonly objectLock: boolean;
  readonly retention: Retention | undefined;
  readonly encryption: Encryption | undefined;
  /** Our rule. Rules of others stay beside it. */
  readonly lifecycle: Lifecycle | undefined;
};

/** What the bucket should have; what is not asked for is left as it is. */
export type BucketRequest = Omit<BucketState, 'lifecycle'> & {
  readonly tiers: readonly Tier[];
  readonly expireDays: number | undefined;
};

export const emptyBucket: BucketState = {
  versioning: false,
  objectLock: false,
  retention: undefined,
  encryption: undefined,
  lifecycle: undefined,
};

/** How the bucket should be, from how it is and what is asked for. */
export function wantedState(before: BucketState, request: BucketRequest): BucketState {
  const { tiers, expireDays, retention, encryption } = request;
  const asksLifecycle = tiers.length > 0 || expireDays !== undefined;
  return {
    versioning: before.versioning || request.versioning || request.objectLock,
    objectLock: before.objectLock || request.objectLock,
    retention: retention ?? before.retention,
    encryption: encryption === undefined ? before.encryption : withKey(encryption, before.encryption),
    lifecycle: asksLifecycle
      ? lifecycleOf(
          tiers.length > 0 ? tiers : (before.lifecycle?.tiers ?? []),
          expireDays ?? before.lifecycle?.expireDays,
        )
      : before.lifecycle,
  };
}

/** Asked for without a key, the key that is there is as good as any. */
function withKey({ algorithm, keyId }: Encryption, before: Encryption | undefined): Encryption {
  return { algorithm, keyId: keyId ?? (before?.algorithm === algorithm ? before.keyId : undefined) };
}

/** Why a bucket cannot or must not be turned from `before` into `wanted`, in words; undefined when it can. */
export function changeFault(before: BucketState, wanted: BucketState): string | undefined {
  const { retention, lifecycle } = wanted;
  if (before.retention !== undefined && retention !== undefined && isWeaker(retention, before.retention))
    return (
      `its default retention is ${retentionText(before.retention)} and is not weakened to ${retentionText(retention)}: ` +
      'devices were promised the longer one; ask for at least as much'
    );
  if (lifecycle === undefined) return undefined;
  const { expireDays } = lifecycle;
  if (expireDays !== undefined && retention !== undefined && expireDays < retention.days)
    return (
      `expiry after ${expireDays} days comes before the retention of ${retention.days} days ends, and the lock would ` +
      `keep what expires: expire after ${retention.days} days or more`
    );
  return lifecycleFault(lifecycle);
}

function isWeaker(one: Retention, other: Retention): boolean {
  return one.days < other.days || retentionModes.indexOf(one.mode) < retentionModes.indexOf(other.mode);
}

export const retentionText = ({ mode, days }: Retention) => `${days} days in ${mode} mode`;

export type Aspect = keyof BucketState;

/** In the order in which they are set: a store locks only what keeps its versions. */
const aspects: readonly Aspect[] = ['versioning', 'objectLock', 'retention', 'encryption', 'lifecycle'];

export function differences(one: BucketState, other: BucketState): Aspect[] {
  return aspects.filter((aspect) => !isDeepStrictEqual(one[aspect], other[aspect]));
}

export const aspectNames: Readonly<Record<Aspect, string>> = {
  versioning: 'versioning',
  objectLock: 'object lock',
  retention: 'default retention',
  encryption: 'default encryption',
  lifecycle: 'lifecycle rule',
};
