import {
  CreateBucketCommand,
  GetBucketVersioningCommand,
  GetObjectLockConfigurationCommand,
  HeadBucketCommand,
  PutBucketVersioningCommand,
  PutObjectLockConfigurationCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { Unavailable } from '../ingest/ports.ts';
import type { S3Options } from './s3-blobs.ts';
import { explain, toFault } from './s3-fault.ts';

/** What the bucket should have; what is not asked for is left as it is. */
export type BucketRequest = {
  readonly versioning: boolean;
  /** Objects can be locked against deletion. Includes versioning. */
  readonly objectLock: boolean;
  /** How long every new object is locked, in compliance mode: nobody can shorten it. Needs `objectLock`. */
  readonly retentionDays: number | undefined;
};

/** As read back from the store. */
export type BucketState = BucketRequest;

/** The store took the requests and the bucket still lacks what was asked for. */
export class BucketLacks extends Error {
  override readonly name = 'BucketLacks';
}

/** Nobody waits on these requests, and a store may take long to make a bucket. */
const requestTimeoutMs = 30_000;
const attemptsMax = 4;
/** The one region whose name CreateBucket refuses as a LocationConstraint. */
const defaultRegion = 'us-east-1';

/**
 * Makes the bucket unless it is there, gives it what is asked for and reads all of it back. Again changes nothing.
 * Rejects with BucketLacks, or with Unavailable when the store cannot be asked or refuses.
 */
export async function initBucket(
  options: Pick<S3Options, 'bucket' | 'endpoint' | 'region' | 'forcePathStyle' | 'credentials'>,
  request: BucketRequest,
): Promise<{ readonly created: boolean; readonly state: BucketState }> {
  using bucket = new Bucket(options);
  const created = !(await bucket.exists());
  if (created) await bucket.create(request.objectLock);
  const before = await bucket.read();
  if ((request.versioning || request.objectLock) && !before.versioning) await bucket.enableVersioning();
  const retention = request.retentionDays ?? before.retentionDays;
  if (request.objectLock && !(before.objectLock && before.retentionDays === retention))
    await bucket.lockObjects(retention);
  const state = await bucket.read();
  const lacking = Object.entries({
    versioning: (request.versioning || request.objectLock) && !state.versioning,
    'object lock': request.objectLock && !state.objectLock,
    'the default retention': request.retentionDays !== undefined && state.retentionDays !== request.retentionDays,
  }).flatMap(([what, lacks]) => (lacks ? [what] : []));
  if (lacking.length > 0) throw new BucketLacks(`bucket ${options.bucket} lacks ${lacking.join(', ')}`);
  return { created, state };
}

class Bucket implements Disposable {
  readonly #client: S3Client;
  readonly #name: string;
  readonly #region: string | undefined;

  constructor({ bucket, endpoint, region, forcePathStyle = false, credentials }: S3Options) {
    this.#name = bucket;
    this.#region = region ?? (endpoint === undefined ? undefined : defaultRegion);
    this.#client = new S3Client({
      ...(this.#region === undefined ? {} : { region: this.#region }),
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(credentials === undefined ? {} : { credentials }),
      forcePathStyle,
      // Each request here says what should be, so that sending it again is safe.
      maxAttempts: attemptsMax,
      requestHandler: { requestTimeout: requestTimeoutMs, throwOnRequestTimeout: true },
    });
  }

  async exists(): Promise<boolean> {
    return this.#ask(
      'look at',
      async () => {
        await this.#client.send(new HeadBucketCommand({ Bucket: this.#name }));
        return true;
      },
      { NotFound: false, NoSuchBucket: false },
    );
  }

  async create(objectLock: boolean): Promise<void> {
    const region = this.#region ?? (await this.#client.config.region());
    await this.#ask('create', () =>
      this.#client.send(
        new CreateBucketCommand({
          Bucket: this.#name,
          ObjectLockEnabledForBucket: objectLock,
          ...(region === defaultRegion
            ? {}
            : { CreateBucketConfiguration: { LocationConstraint: region as 'eu-central-1' } }),
        }),
      ),
    );
  }

  async read(): Promise<BucketState> {
    const versioning = await this.#ask('read the versioning of', () =>
      this.#client.send(new GetBucketVersioningCommand({ Bucket: this.#name })),
    );
    const lock = await this.#ask(
      'read the object lock of',
      async () =>
        (await this.#client.send(new GetObjectLockConfigurationCommand({ Bucket: this.#name })))
          .ObjectLockConfiguration,
      { ObjectLockConfigurationNotFoundError: undefined },
    );
    const retention = lock?.Rule?.DefaultRetention;
    return {
      versioning: versioning.Status === 'Enabled',
      objectLock: lock?.ObjectLockEnabled === 'Enabled',
      retentionDays: retention?.Mode === 'COMPLIANCE' ? retention.Days : undefined,
    };
  }

  async enableVersioning(): Promise<void> {
    await this.#ask('enable the versioning of', () =>
      this.#client.send(
        new PutBucketVersioningCommand({ Bucket: this.#name, VersioningConfiguration: { Status: 'Enabled' } }),
      ),
    );
  }

  async lockObjects(retentionDays: number | undefined): Promise<void> {
    const rule =
      retentionDays === undefined
        ? {}
        : ({ Rule: { DefaultRetention: { Mode: 'COMPLIANCE', Days: retentionDays } } } as const);
    await this.#ask('set the object lock of', () =>
      this.#client.send(
        new PutObjectLockConfigurationCommand({
          Bucket: this.#name,
          ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled', ...rule },
        }),
      ),
    );
  }

  [Symbol.dispose](): void {
    this.#client.destroy();
  }

  /** @param answers what an error code of the store says, where it is an answer */
  async #ask<T>(what: string, send: () => Promise<T>, answers: Readonly<Record<string, T>> = {}): Promise<T> {
    try {
      return await send();
    } catch (error) {
      const fault = toFault(error);
      if (Object.hasOwn(answers, fault.code)) return answers[fault.code] as T;
      throw new Unavailable('payload_store', `cannot ${what} bucket ${this.#name}: ${explain(fault)}`);
    }
  }
}
