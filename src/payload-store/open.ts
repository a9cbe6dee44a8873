import type { PayloadStore } from '../ingest/ports.ts';
import type { Blobs } from './blobs.ts';
import { DirectoryBlobs } from './directory-blobs.ts';
import { ObjectLayout } from './object-layout.ts';
import { Archive, type PayloadArchive, type PayloadLayout, type PayloadReader } from './payload-archive.ts';
import { S3Blobs, type S3Options } from './s3-blobs.ts';
import { SegmentLayout } from './segment-layout.ts';

export type LayoutOptions = {
  readonly layout: PayloadLayout;
  /** How many puts may run at once. What waits for its turn is bounded by the caller. */
  readonly putsMax?: number;
  /** Of a put, its wait for its turn included. */
  readonly putDeadlineMs?: number;
};
export type S3StoreOptions = S3Options & LayoutOptions;
export type DirectoryStoreOptions = LayoutOptions & { readonly directory: string };

/**
 * Object: enough to keep a store busy whose puts take tens of milliseconds; more only queue there.
 * Segment: one on its way while the next is built; more would make the segments smaller.
 */
const putsMaxDefaults: Record<PayloadLayout, number> = { object: 32, segment: 1 };

/** Reaches for nothing yet: check() does. */
export function openS3Store(options: S3StoreOptions): PayloadArchive {
  const blobs = new S3Blobs(options);
  return new Archive(blobs, layoutOver(blobs, options));
}

/** Makes the directory where there is none. Rejects with Unavailable when it cannot be written. */
export async function openDirectoryStore(options: DirectoryStoreOptions): Promise<PayloadArchive> {
  const blobs = await DirectoryBlobs.open(options.directory);
  return new Archive(blobs, layoutOver(blobs, options));
}

/**
 * The payloads of a directory for reading alone, of both layouts: nothing in it is made, removed or changed. Undefined
 * when there is no such directory. Rejects with Unavailable when it cannot be looked at.
 */
export async function openDirectoryReader(directory: string): Promise<PayloadReader | undefined> {
  const blobs = await DirectoryBlobs.find(directory);
  return blobs && new Archive(blobs, layoutOver(blobs, { layout: 'object' }));
}

function layoutOver(blobs: Blobs, options: LayoutOptions): PayloadStore {
  const { layout, putsMax = putsMaxDefaults[layout], putDeadlineMs } = options;
  const Layout = layout === 'object' ? ObjectLayout : SegmentLayout;
  return new Layout(blobs, putsMax, putDeadlineMs);
}
