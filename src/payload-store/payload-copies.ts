import type { PayloadCopies, SegmentContent, StoredCopy, StoredObject } from '../audit/ports.ts';
import type { PayloadLocation } from '../ingest/ports.ts';
import { PayloadMissing } from './blobs.ts';
import type { PayloadReader } from './payload-archive.ts';
import { decodeSegment, SegmentError } from './segment-format.ts';

/**
 * A full segment, behind one payload of the largest that `eds serve` can be told to take. What claims to be larger was
 * not written by the service, and must not fill our memory.
 */
const copyBytesMax = 32 * 1024 * 1024;

/** The archive as the audit reads it: what is missing or damaged is an answer, not a failure. */
export class ArchiveCopies implements PayloadCopies {
  readonly #archive: PayloadReader;

  constructor(archive: PayloadReader) {
    this.#archive = archive;
  }

  list(signal: AbortSignal): AsyncIterable<StoredObject> {
    return this.#archive.list(signal);
  }

  async read(location: PayloadLocation): Promise<StoredCopy | undefined> {
    if (location.bytes > copyBytesMax) return undefined;
    return unlessMissing(async () => {
      const payload = await this.#archive.read(location);
      return { payload, record: await this.#archive.readStoredRecord(location) };
    });
  }

  async readSegment({ key, bytes }: StoredObject): Promise<SegmentContent> {
    if (bytes > copyBytesMax) return { damage: `${bytes} bytes, more than any segment has` };
    const content = await unlessMissing(() => this.#archive.read({ objectKey: key, offset: undefined, bytes }));
    if (content === undefined) return { damage: 'it has changed since it was listed' };
    try {
      return new Map(decodeSegment(content).map(({ offset, payload, record }) => [offset, { payload, record }]));
    } catch (error) {
      if (error instanceof SegmentError) return { damage: error.message };
      throw error;
    }
  }
}

async function unlessMissing<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof PayloadMissing) return undefined;
    throw error;
  }
}
