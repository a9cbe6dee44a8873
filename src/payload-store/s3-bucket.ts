import {
  CreateBucketCommand,
  GetBucketEncryptionCommand,
  GetBucketLifecycleConfigurationCommand,
  GetBucketVersioningCommand,
  GetObjectLockConfigurationCommand,
  type LifecycleRule,
  ListObjectsV2Command,
  PutBucketEncryptionCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketVersioningCommand,
  PutObjectLockConfigurationCommand,
  S3Client,
  type TransitionDefaultMinimumObjectSize,
} from '@aws-sdk/client-s3';
import { Unavailable } from '../ingest/ports.ts';
import { isOurs, type Lifecycle, readRule, writeRule } from './bucket-lifecycle.ts';
import type { BucketState, Encryption, Retention } from './bucket-state.ts';
import type { S3Options } from './s3-blobs.ts';
import { explain, isTransient, toFault } from './s3-fault.ts';

export type BucketOptions = Pick<S3Options, 'bucket' | 'endpoint' | 'region' | 'forcePathStyle' | 'credentials'>;

/** The store does not answer, or not yet: asking again may help. */
export class StoreAway extends Unavailable {
  override readonly name = 'StoreAway';
}

/** Nobody waits on these requests, and a store may take long to make a bucket. */
const requestTimeoutMs = 30_000;
/** Of the first question, with its retries: a store that takes longer for it is away. */
const lookTimeoutMs = 10_000;
const attemptsMax = 4;
/** The one region whose name CreateBucket refuses as a LocationConstraint. */
const defaultRegion = 'us-east-1';
const daysPerYear = 365;
const notPermitted =
  'the credentials do not permit this: they have to be those of who may create and configure buckets';

/**
 * The configuration of one bucket. Each request says what should be, so that sending it again is safe. Rejects with
 * StoreAway, with Unavailable when the store refuses, or with the signal's reason.
 */
export class S3Bucket implements Disposable {
  readonly #client: S3Client;
  readonly #name: string;
  readonly #region: string | undefined;
  readonly #signal: AbortSignal;

  constructor({ bucket, endpoint, region, forcePathStyle = false, credentials }: BucketOptions, signal: AbortSignal) {
    this.#name = bucket;
    this.#signal = signal;
    this.#region = region ?? (endpoint === undefined ? undefined : defaultRegion);
    this.#client = new S3Client({
      ...(this.#region === undefined ? {} : { region: this.#region }),
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(credentials === undefined ? {} : { credentials }),
      forcePathStyle,
      maxAttempts: attemptsMax,
      requestHandler: { requestTimeout: requestTimeoutMs, throwOnRequestTimeout: true },
    });
  }

  /** Asks for a listing: a refused HEAD has no body that would say why. It needs the same permission. */
  async exists(): Promise<boolean> {
    const abortSignal = AbortSignal.any([this.#signal, AbortSignal.timeout(lookTimeoutMs)]);
    const look = async () => {
      await this.#client.send(new ListObjectsV2Command({ Bucket: this.#name, MaxKeys: 1 }), { abortSignal });
      return true;
    };
    return this.#ask('look at', look, { answers: { NoSuchBucket: false } });
  }

  /** False when somebody of the same account has made it in the meantime. */
  async create(objectLock: boolean): Promise<boolean> {
    const region = this.#region ?? (await this.#client.config.region());
    const command = new CreateBucketCommand({
      Bucket: this.#name,
      ObjectLockEnabledForBucket: objectLock,
      ...(region === defaultRegion
        ? {}
        : { CreateBucketConfiguration: { LocationConstraint: region as 'eu-central-1' } }),
    });
    const create = async () => {
      await this.#client.send(command, this.#options);
      return true;
    };
    return this.#ask('create', create, { answers: { BucketAlreadyOwnedByYou: false } });
  }

  async read(): Promise<BucketState> {
    const lock = await this.#readLock();
    return {
      versioning: await this.#readVersioning(),
      objectLock: lock.enabled,
      retention: lock.retention,
      encryption: await this.#readEncryption(),
      lifecycle: readRule((await this.#readLifecycle()).rules),
    };
  }

  async enableVersioning(): Promise<void> {
    const command = new PutBucketVersioningCommand({
      Bucket: this.#name,
      VersioningConfiguration: { Status: 'Enabled' },
    });
    await this.#ask('enable the versioning of', () => this.#client.send(command, this.#options), {
      reasons: { NotImplemented: 'the store does not offer versioning' },
    });
  }

  async lockObjects(retention: Retention | undefined): Promise<void> {
    const rule =
      retention === undefined
        ? {}
        : { Rule: { DefaultRetention: { Mode: modeNames[retention.mode], Days: retention.days } } };
    const command = new PutObjectLockConfigurationCommand({
      Bucket: this.#name,
      ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled', ...rule },
    });
    const wayOut = 'this store locks objects only in a bucket that was created with object lock: give another bucket';
    await this.#ask('set the object lock of', () => this.#client.send(command, this.#options), {
      reasons: { InvalidBucketState: wayOut, NotImplemented: 'the store does not offer object lock' },
    });
  }

  async encrypt({ algorithm, keyId }: Encryption): Promise<void> {
    const rule = {
      ApplyServerSideEncryptionByDefault: {
        SSEAlgorithm: algorithm,
        ...(keyId === undefined ? {} : { KMSMasterKeyID: keyId }),
      },
      // One request to the KMS for many objects instead of one for each (S3 user guide, Bucket Keys).
      ...(algorithm === 'aws:kms' && { BucketKeyEnabled: true }),
    };
    const command = new PutBucketEncryptionCommand({
      Bucket: this.#name,
      ServerSideEncryptionConfiguration: { Rules: [rule] },
    });
    await this.#ask('set the default encryption of', () => this.#client.send(command, this.#options), {
      reasons: {
        NotImplemented:
          'the store has no keys to encrypt with: give it some (MinIO: a KMS, or MINIO_KMS_SECRET_KEY), or do not ask for encryption',
        'kms:KeyNotFound': `the store's KMS has no key ${keyId}: create it, or name another`,
      },
    });
  }

  /** Puts our rule beside those of others, which stay. */
  async setLifecycle(lifecycle: Lifecycle): Promise<void> {
    const { rules, sizeMin } = await this.#readLifecycle();
    const command = new PutBucketLifecycleConfigurationCommand({
      Bucket: this.#name,
      LifecycleConfiguration: { Rules: [...rules.filter((rule) => !isOurs(rule)), writeRule(lifecycle)] },
      ...(sizeMin && { TransitionDefaultMinimumObjectSize: sizeMin }),
    });
    const classes = lifecycle.tiers.map(({ storageClass }) => storageClass).join(', ');
    await this.#ask('set the lifecycle of', () => this.#client.send(command, this.#options), {
      reasons: {
        InvalidStorageClass:
          `the store does not know every storage class of ${classes}: on MinIO add a tier of that name first ` +
          '(mc ilm tier add), or leave the class out',
      },
    });
  }

  [Symbol.dispose](): void {
    this.#client.destroy();
  }

  async #readVersioning(): Promise<boolean> {
    const command = new GetBucketVersioningCommand({ Bucket: this.#name });
    const read = async () => (await this.#client.send(command, this.#options)).Status === 'Enabled';
    return this.#ask('read the versioning of', read, { answers: { NotImplemented: false } });
  }

  async #readLock(): Promise<{ readonly enabled: boolean; readonly retention: Retention | undefined }> {
    const command = new GetObjectLockConfigurationCommand({ Bucket: this.#name });
    const read = async () => (await this.#client.send(command, this.#options)).ObjectLockConfiguration;
    const lock = await this.#ask('read the object lock of', read, {
      answers: { ObjectLockConfigurationNotFoundError: undefined, NotImplemented: undefined },
    });
    const { Mode: mode, Days, Years } = lock?.Rule?.DefaultRetention ?? {};
    const days = Days ?? (Years === undefined ? undefined : Years * daysPerYear);
    return {
      enabled: lock?.ObjectLockEnabled === 'Enabled',
      retention:
        mode === undefined || days === undefined
          ? undefined
          : { mode: mode === 'COMPLIANCE' ? 'compliance' : 'governance', days },
    };
  }

  async #readEncryption(): Promise<Encryption | undefined> {
    const command = new GetBucketEncryptionCommand({ Bucket: this.#name });
    const read = async () => (await this.#client.send(command, this.#options)).ServerSideEncryptionConfiguration;
    const configuration = await this.#ask('read the default encryption of', read, {
      answers: { ServerSideEncryptionConfigurationNotFoundError: undefined, NotImplemented: undefined },
    });
    const { SSEAlgorithm: algorithm, KMSMasterKeyID: keyId } =
      configuration?.Rules?.[0]?.ApplyServerSideEncryptionByDefault ?? {};
    return algorithm && { algorithm, keyId };
  }

  async #readLifecycle(): Promise<LifecycleRules> {
    const command = new GetBucketLifecycleConfigurationCommand({ Bucket: this.#name });
    const read = async () => {
      const { Rules: rules = [], TransitionDefaultMinimumObjectSize: sizeMin } = await this.#client.send(
        command,
        this.#options,
      );
      return { rules, sizeMin };
    };
    const none: LifecycleRules = { rules: [], sizeMin: undefined };
    return this.#ask<LifecycleRules>('read the lifecycle of', read, {
      answers: { NoSuchLifecycleConfiguration: none, NotImplemented: none },
    });
  }

  get #options() {
    return { abortSignal: this.#signal };
  }

  /**
   * @param answers what an error code of the store says, where it is an answer
   * @param reasons what an error code means for this request, with the way out
   */
  async #ask<T>(
    what: string,
    send: () => Promise<T>,
    {
      answers = {},
      reasons = {},
    }: { answers?: Readonly<Record<string, T>>; reasons?: Readonly<Record<string, string>> } = {},
  ): Promise<T> {
    try {
      return await send();
    } catch (error) {
      this.#signal.throwIfAborted();
      const fault = toFault(error);
      if (Object.hasOwn(answers, fault.code)) return answers[fault.code] as T;
      const reason = reasons[fault.code] ?? (fault.code === 'AccessDenied' ? notPermitted : undefined);
      const Kind = reason === undefined && isTransient(fault) ? StoreAway : Unavailable;
      const why = reason === undefined ? explain(fault) : `${reason} (${fault.code})`;
      throw new Kind('payload_store', `cannot ${what} bucket ${this.#name}: ${why}`);
    }
  }
}

type LifecycleRules = {
  readonly rules: readonly LifecycleRule[];
  /** Below it AWS leaves an object in its class. */
  readonly sizeMin: TransitionDefaultMinimumObjectSize | undefined;
};

const modeNames = { governance: 'GOVERNANCE', compliance: 'COMPLIANCE' } as const;
