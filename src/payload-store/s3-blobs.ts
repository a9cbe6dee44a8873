import { hash } from 'node:crypto';
import { addAbortSignal, Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { type PayloadLocation, Unavailable } from '../ingest/ports.ts';
import {
  type BlobDescription,
  type Blobs,
  type ListedBlob,
  LookForbidden,
  PayloadMissing,
  type PutOutcome,
} from './blobs.ts';
import { explain, isTransient, isUnusableName, type S3Fault, toFault } from './s3-fault.ts';

export type S3Options = {
  readonly bucket: string;
  /** Of a store that is not AWS: `http://minio:9000`, `https://<account>.r2.cloudflarestorage.com`. */
  readonly endpoint?: string;
  /** Undefined: what the SDK finds, or `us-east-1` where there is an endpoint (MinIO and R2 take it). */
  readonly region?: string;
  /** The bucket in the path instead of in the host name, as MinIO needs it. */
  readonly forcePathStyle?: boolean;
  /** Undefined: the SDK's default chain (environment, files, web identity, instance role). */
  readonly credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
  /** Of one request, its answer included. */
  readonly attemptTimeoutMs?: number;
  /** Of an operation with all its retries: past it, or past the `endMs` of its caller, it is Unavailable. */
  readonly deadlineMs?: number;
};

/** Above the slowest put of a full segment (2 MiB) over 10 Mbit/s. */
const defaultAttemptTimeoutMs = 3_000;
/** Three attempts that time out; half of what a whole put has. */
const defaultDeadlineMs = 10_000;
/** A store in the same network answers SYN within milliseconds; a lost one is sent again after one second. */
const connectionTimeoutMs = 1_500;
/** A readiness probe should hear of a store that hangs before its own timeout ends. */
const checkDeadlineMs = 2_000;
/** The mean wait before the first retry is half of this, then it doubles up to the second number. */
const backoffMs = 100;
const backoffMaxMs = 2_000;
/** Above the puts that a layout runs at once, with room for reads and probes. */
const socketsMax = 64;
/** User metadata may have 2 KB (S3): the longest record takes 1.9 of them as base64url. */
const recordMetadata = 'edgesentry-record';

/** Objects of one bucket, with conditional puts. Every wait ends within the deadline. */
export class S3Blobs implements Blobs {
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #attemptTimeoutMs: number;
  readonly #deadlineMs: number;
  readonly #closing = new AbortController();

  constructor(options: S3Options) {
    this.#bucket = options.bucket;
    this.#attemptTimeoutMs = options.attemptTimeoutMs ?? defaultAttemptTimeoutMs;
    this.#deadlineMs = options.deadlineMs ?? defaultDeadlineMs;
    const region = options.region ?? (options.endpoint === undefined ? undefined : 'us-east-1');
    this.#client = new S3Client({
      ...(region === undefined ? {} : { region }),
      ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
      ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
      forcePathStyle: options.forcePathStyle ?? false,
      // Retries are ours, since only we know what a 412 means after an attempt without an answer.
      maxAttempts: 1,
      // Each put carries its SHA-256, computed below; a read is checked against the record's hash by its caller.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: {
        connectionTimeout: connectionTimeoutMs,
        httpAgent: { keepAlive: true, maxSockets: socketsMax },
        httpsAgent: { keepAlive: true, maxSockets: socketsMax, minVersion: 'TLSv1.2', rejectUnauthorized: true },
      },
    });
  }

  putOnce(key: string, content: Buffer, record: Buffer | undefined, endMs: number): Promise<PutOutcome> {
    const put = new PutObjectCommand({
      Bucket: this.#bucket,
      Key: key,
      Body: content,
      ContentType: 'application/octet-stream',
      IfNoneMatch: '*',
      ChecksumSHA256: hash('sha256', content, 'base64'),
      ...(record === undefined ? {} : { Metadata: { [recordMetadata]: record.toString('base64url') } }),
    });
    return this.#request<PutOutcome>(`put ${this.#name(key)}`, {
      send: async (abortSignal) => {
        await this.#client.send(put, { abortSignal });
        return 'created';
      },
      answer: (fault) => {
        if (fault.status === 412) return 'taken';
        return isUnusableName(fault) ? 'unusable' : undefined;
      },
      endMs,
    });
  }

  async read({ objectKey, offset, bytes }: PayloadLocation, endMs?: number): Promise<Buffer> {
    if (offset !== undefined && bytes === 0) return this.#readNothing(objectKey, offset, endMs);
    const range = offset === undefined ? {} : { Range: `bytes=${offset}-${offset + bytes - 1}` };
    const get = new GetObjectCommand({ Bucket: this.#bucket, Key: objectKey, ...range });
    return this.#request(`read ${this.#name(objectKey)}`, {
      send: async (abortSignal) => {
        const { Body: body, ContentLength: found } = await this.#client.send(get, { abortSignal });
        if (!(body instanceof Readable)) throw new TypeError('the SDK answered without a stream');
        addAbortSignal(abortSignal, body);
        // Before the body is read: an object that somebody has made huge must not fill our memory.
        if (found === bytes) return Buffer.concat(await body.toArray(), bytes);
        body.destroy();
        throw new PayloadMissing(`${this.#name(objectKey)} has ${found} bytes at ${offset ?? 0}, not ${bytes}`);
      },
      answer: (fault) => this.#absence(objectKey, fault),
      endMs,
    });
  }

  /** HTTP has no empty range. */
  async #readNothing(key: string, offset: number, endMs: number | undefined): Promise<Buffer> {
    const { bytes } = await this.describe(key, endMs);
    if (offset > bytes) throw new PayloadMissing(`${this.#name(key)} has ${bytes} bytes, none at ${offset}`);
    return Buffer.alloc(0);
  }

  describe(key: string, endMs?: number): Promise<BlobDescription> {
    const head = new HeadObjectCommand({ Bucket: this.#bucket, Key: key });
    return this.#request(`look at ${this.#name(key)}`, {
      send: async (abortSignal) => {
        const { ContentLength: bytes = 0, Metadata: metadata } = await this.#client.send(head, { abortSignal });
        const record = metadata?.[recordMetadata];
        return { bytes, record: record === undefined ? undefined : Buffer.from(record, 'base64url') };
      },
      answer: (fault) => this.#absence(key, fault),
      endMs,
    });
  }

  async *list(signal: AbortSignal): AsyncGenerator<ListedBlob> {
    let continuation: string | undefined;
    let last = Buffer.alloc(0);
    do {
      signal.throwIfAborted();
      const page = await this.#listPage(continuation);
      for (const { Key: encoded = '', Size: bytes = 0 } of page.Contents ?? []) {
        const key = decodeURIComponent(encoded.replaceAll('+', ' '));
        const keyBytes = Buffer.from(key);
        // Who merges the listing with the ledger's rows relies on the order, and not every store keeps to it.
        if (last.compare(keyBytes) >= 0)
          throw new Unavailable('payload_store', `${this.#name(key)} is listed out of order: the store does not sort`);
        last = keyBytes;
        yield { key, bytes };
      }
      continuation = page.NextContinuationToken;
    } while (continuation !== undefined);
  }

  #listPage(continuation: string | undefined) {
    const list = new ListObjectsV2Command({
      Bucket: this.#bucket,
      // XML cannot carry every character that a key may have.
      EncodingType: 'url',
      ...(continuation === undefined ? {} : { ContinuationToken: continuation }),
    });
    return this.#request(`list s3://${this.#bucket}`, {
      send: (abortSignal) => this.#client.send(list, { abortSignal }),
    });
  }

  /** Asks for a listing, since the answer to a HEAD cannot say whether the keys are wrong or merely may not list. */
  async check(): Promise<void> {
    const list = new ListObjectsV2Command({ Bucket: this.#bucket, MaxKeys: 1 });
    await this.#request(`reach s3://${this.#bucket}`, {
      send: async (abortSignal) => {
        await this.#client.send(list, { abortSignal });
        return true;
      },
      answer: ({ code }) => (code === 'AccessDenied' ? true : undefined),
      deadlineMs: checkDeadlineMs,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.#client.destroy();
  }

  #name(key: string): string {
    return `s3://${this.#bucket}/${key}`;
  }

  #absence(key: string, { status, code }: S3Fault): undefined {
    if (status === 416 || (status === 404 && code !== 'NoSuchBucket'))
      throw new PayloadMissing(`${this.#name(key)} has no such bytes (HTTP ${status})`);
    if (status === 403 && code !== 'InvalidAccessKeyId' && code !== 'SignatureDoesNotMatch')
      throw new LookForbidden('payload_store', `reading ${this.#name(key)} is not permitted: it needs s3:GetObject`);
  }

  /** Sends until there is an answer, a fault that a retry cannot mend, or the deadline. Rejects with Unavailable. */
  async #request<T>(
    what: string,
    { send, answer, deadlineMs = this.#deadlineMs, endMs = Infinity }: Request<T>,
  ): Promise<T> {
    const deadline = Math.min(performance.now() + deadlineMs, endMs);
    for (let attempt = 1; ; attempt++) {
      const leftMs = Math.max(1, Math.ceil(deadline - performance.now()));
      try {
        return await send(AbortSignal.timeout(Math.min(this.#attemptTimeoutMs, leftMs)));
      } catch (error) {
        if (error instanceof PayloadMissing) throw error;
        const fault = toFault(error);
        const answered = answer?.(fault);
        if (answered !== undefined) return answered;
        const pauseMs = Math.random() * Math.min(backoffMaxMs, backoffMs * 2 ** (attempt - 1));
        const over = this.#closing.signal.aborted || performance.now() + pauseMs >= deadline;
        if (over || !isTransient(fault)) throw this.#failure(what, fault, attempt);
        await sleep(pauseMs, undefined, { signal: this.#closing.signal }).catch(() => {
          throw this.#failure(what, fault, attempt);
        });
      }
    }
  }

  #failure(what: string, fault: S3Fault, attempts: number): Unavailable {
    const tried = attempts === 1 ? '' : ` after ${attempts} attempts`;
    return new Unavailable('payload_store', `cannot ${what}${tried}: ${explain(fault)}`);
  }
}

type Request<T> = {
  readonly send: (abortSignal: AbortSignal) => Promise<T>;
  /** The result, where the fault is one in truth; undefined where it is a failure. */
  readonly answer?: (fault: S3Fault) => T | undefined;
  readonly deadlineMs?: number;
  /** As of performance.now. */
  readonly endMs?: number | undefined;
};
