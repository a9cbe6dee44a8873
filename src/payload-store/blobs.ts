import { type PayloadLocation, Unavailable } from '../ingest/ports.ts';

/**
 * How a write-once put ended. `created` it is there now, durably; `taken` another put has written this key before,
 * maybe an earlier attempt of this very one; `unusable` the store can hold no object of this name.
 */
export type PutOutcome = 'created' | 'taken' | 'unusable';

export type BlobDescription = {
  readonly bytes: number;
  /** The record's postcard encoding, where one was put with the content. */
  readonly record: Buffer | undefined;
};

export type ListedBlob = { readonly key: string; readonly bytes: number };

/**
 * Write-once objects by key, with the record beside the content: what the layouts need of S3 or of a directory. `endMs`
 * bounds what goes over a network: past it, as of performance.now, the answer is Unavailable.
 */
export interface Blobs extends AsyncDisposable {
  /** Resolves once it knows the outcome for certain. Rejects with Unavailable when it does not. */
  putOnce(key: string, content: Buffer, record: Buffer | undefined, endMs: number): Promise<PutOutcome>;
  /** Rejects with PayloadMissing, LookForbidden or Unavailable. */
  read(location: PayloadLocation, endMs?: number): Promise<Buffer>;
  /** Rejects with PayloadMissing, LookForbidden or Unavailable. */
  describe(key: string, endMs?: number): Promise<BlobDescription>;
  /** In ascending order of the keys' UTF-8 bytes. */
  list(signal: AbortSignal): AsyncIterable<ListedBlob>;
  check(): Promise<void>;
}

/** The store has no such bytes: no object of this key, or one of another length. */
export class PayloadMissing extends Error {
  override readonly name = 'PayloadMissing';
}

/** The store can be reached, but our credentials do not permit reading. */
export class LookForbidden extends Unavailable {
  override readonly name = 'LookForbidden';
}
