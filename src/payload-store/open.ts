import type { PayloadStore } from '../ingest/ports.ts';
import type { Blobs } from './blobs.ts';
import { DirectoryBlobs } from './directory-blobs.ts';
import { ObjectLayout } from './object-layout.ts';
import { Archive, type PayloadArchive, type PayloadLayout } from './payload-archive.ts';
import { S3Blobs, type S3Options } from './s3-blobs.ts';
import { SegmentLayout } from './segment-layout.ts';

export type LayoutOptions = {
  readonly layout: PayloadLayout;
  /** How many puts may run at once. What waits for its turn is bounded by the caller. */
  readonly putsMax?: number;
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

function layoutOver(blobs: Blobs, { layout, putsMax = putsMaxDefaults[layout] }: LayoutOptions): PayloadStore {
  return layout === 'object' ? new ObjectLayout(blobs, putsMax) : new SegmentLayout(blobs, putsMax);
}
