import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Aspect,
  aspectNames,
  type BucketRequest,
  type BucketState,
  changeFault,
  differences,
  wantedState,
} from './bucket-state.ts';
import { type BucketOptions, S3Bucket, StoreAway } from './s3-bucket.ts';

/** What the bucket has forbids what is asked for. Nothing was changed, except that a missing bucket was made. */
export class BucketRefused extends Error {
  override readonly name = 'BucketRefused';
}

/** The store took the requests and the bucket still differs from what was asked for. */
export class BucketLacks extends Error {
  override readonly name = 'BucketLacks';
}

export type InitOptions = {
  readonly signal: AbortSignal;
  /** How long a store that does not answer yet is waited for. */
  readonly waitMs: number;
  /** Before each pause of that wait. */
  readonly onWait: (reason: string) => void;
};

export type InitReport = {
  readonly created: boolean;
  /** Empty when all was as it should be. */
  readonly changed: readonly Aspect[];
  readonly state: BucketState;
};

/** Seldom enough not to disturb a store that is starting. */
const waitPauseMs = 1_000;
/** S3 spreads a change of a bucket within seconds, and may show the old configuration until then. */
const readBacksMax = 5;
const readBackPauseMs = 1_000;

/**
 * Makes the bucket unless it is there, gives it what is asked for and reads all of it back. Again changes nothing.
 * Rejects with BucketRefused, BucketLacks, with Unavailable when the store cannot be asked or refuses, or with the
 * signal's reason.
 */
export async function initBucket(
  options: BucketOptions,
  request: BucketRequest,
  { signal, waitMs, onWait }: InitOptions,
): Promise<InitReport> {
  using bucket = new S3Bucket(options, signal);
  const isThere = await waitFor(() => bucket.exists(), { signal, waitMs, onWait });
  const created = !isThere && (await bucket.create(request.objectLock));
  const before = await bucket.read();
  const wanted = wantedState(before, request);
  const fault = changeFault(before, wanted);
  if (fault !== undefined) throw new BucketRefused(`bucket ${options.bucket}: ${fault}`);
  const changed = differences(before, wanted);
  await change(bucket, changed, wanted);
  const state = await readBack(bucket, wanted, signal);
  const lacking = differences(state, wanted).map((aspect) => aspectNames[aspect]);
  if (lacking.length > 0)
    throw new BucketLacks(
      `bucket ${options.bucket} lacks what was asked for, although the store took it: ${lacking.join(', ')}`,
    );
  return { created, changed, state };
}

/** Asks until the store answers, whatever it says, for `waitMs` at most and once at least. */
async function waitFor<T>(ask: () => Promise<T>, { signal, waitMs, onWait }: InitOptions): Promise<T> {
  const end = performance.now() + waitMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof StoreAway) || performance.now() + waitPauseMs > end) throw error;
      onWait(error.message);
      await sleep(waitPauseMs, undefined, { signal });
    }
  }
}

async function change(bucket: S3Bucket, changed: readonly Aspect[], wanted: BucketState): Promise<void> {
  const { retention, encryption, lifecycle } = wanted;
  if (changed.includes('versioning')) await bucket.enableVersioning();
  if (changed.includes('objectLock') || changed.includes('retention')) await bucket.lockObjects(retention);
  if (changed.includes('encryption') && encryption) await bucket.encrypt(encryption);
  if (changed.includes('lifecycle') && lifecycle) await bucket.setLifecycle(lifecycle);
}

/** What the bucket has, looked at again while it differs from `wanted`. */
async function readBack(bucket: S3Bucket, wanted: BucketState, signal: AbortSignal): Promise<BucketState> {
  for (let looks = 1; ; looks++) {
    const state = await bucket.read();
    if (looks === readBacksMax || differences(state, wanted).length === 0) return state;
    await sleep(readBackPauseMs, undefined, { signal });
  }
}
