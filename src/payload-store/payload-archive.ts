import type { AdmittedRecord, PayloadLocation, PayloadStore } from '../ingest/ports.ts';
import type { Blobs, ListedBlob } from './blobs.ts';
import { readSegmentRecord } from './segment-layout.ts';

/** How payloads become objects: one each, or those of a batch together. What is read does not depend on it. */
export const payloadLayouts = ['object', 'segment'] as const;
export type PayloadLayout = (typeof payloadLayouts)[number];

/** The payload store as its readers see it: the auditor and `eds payload get`. */
export interface PayloadReader extends AsyncDisposable {
  /** The bytes at the location. Rejects with PayloadMissing when there are no such bytes, Unavailable when ours failed. */
  read(location: PayloadLocation): Promise<Buffer>;
  /** The postcard encoding that is stored beside the payload, undefined where none is. Rejects as `read` does. */
  readStoredRecord(location: PayloadLocation): Promise<Buffer | undefined>;
  /**
   * The objects in ascending order of their keys' UTF-8 bytes. Rejects with Unavailable, or with the signal's reason.
   * That an object is not listed does not mean that it is missing: MinIO leaves out `a/b` where `a` is an object too.
   */
  list(signal: AbortSignal): AsyncIterable<ListedBlob>;
}

/** The payload store as the service has it. */
export interface PayloadArchive extends PayloadStore, PayloadReader {
  /** Resolves when the store can be reached; permission to write is enough. Rejects with Unavailable. */
  check(): Promise<void>;
}

/** Writes by one layout and reads by both, so that a deployment may change its layout. */
export class Archive implements PayloadArchive {
  readonly #blobs: Blobs;
  readonly #layout: PayloadStore;

  constructor(blobs: Blobs, layout: PayloadStore) {
    this.#blobs = blobs;
    this.#layout = layout;
  }

  put(admitted: AdmittedRecord): Promise<PayloadLocation> {
    return this.#layout.put(admitted);
  }

  read(location: PayloadLocation): Promise<Buffer> {
    return this.#blobs.read(location);
  }

  async readStoredRecord(location: PayloadLocation): Promise<Buffer | undefined> {
    if (location.offset !== undefined) return readSegmentRecord(this.#blobs, location.objectKey, location.offset);
    return (await this.#blobs.describe(location.objectKey)).record;
  }

  list(signal: AbortSignal): AsyncIterable<ListedBlob> {
    return this.#blobs.list(signal);
  }

  check(): Promise<void> {
    return this.#blobs.check();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#blobs[Symbol.asyncDispose]();
  }
}
