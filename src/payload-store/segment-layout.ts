import { randomUUID } from 'node:crypto';
import { Batcher } from '../ingest/batcher.ts';
import { type AdmittedRecord, type PayloadLocation, type PayloadStore, Unavailable } from '../ingest/ports.ts';
import { deviceIdBytesMax, hashBytes, objectRefBytesMax, signatureBytes } from '../record/record.ts';
import type { Blobs } from './blobs.ts';
import { bytesBeforePayload, encodeSegment, frameOverheadBytes, recordBeforePayload } from './segment-format.ts';

/** A put of this size takes a fraction of a second on a gigabit link; larger ones only add to wait and memory. */
const segmentBytesMax = 2 * 1024 * 1024;
/** Past this a put's own cost is spread thin enough; a segment that fails refuses no more records than this. */
const segmentRecordsMax = 1024;
/** Five varints of at most ten bytes, one byte for the signature's length, and the fields. */
const recordBytesMax = 50 + 1 + deviceIdBytesMax + 2 * hashBytes + signatureBytes + objectRefBytesMax;

/** The payloads that queued while the last puts ran become one object: `segments/<day of writing, UTC>/<uuid>`. */
export class SegmentLayout implements PayloadStore {
  readonly #blobs: Blobs;
  readonly #batcher: Batcher<AdmittedRecord, PayloadLocation>;

  constructor(blobs: Blobs, putsMax: number) {
    this.#blobs = blobs;
    this.#batcher = new Batcher({
      run: (admitted) => this.#putSegment(admitted),
      defer: (task) => setImmediate(task),
      itemsMax: segmentRecordsMax,
      weightMax: segmentBytesMax,
      weightOf: ({ encoded, payload }) => frameOverheadBytes + encoded.length + payload.length,
      callsMax: putsMax,
    });
  }

  put(admitted: AdmittedRecord): Promise<PayloadLocation> {
    return this.#batcher.add(admitted);
  }

  async #putSegment(admitted: readonly AdmittedRecord[]): Promise<PayloadLocation[]> {
    const objectKey = `segments/${new Date().toISOString().slice(0, 10)}/${randomUUID()}`;
    const { content, offsets } = encodeSegment(admitted.map(({ encoded, payload }) => ({ record: encoded, payload })));
    // Taken: by an earlier attempt of this very put, since nothing else knows the name.
    if ((await this.#blobs.putOnce(objectKey, content, undefined)) === 'unusable')
      throw new Unavailable('payload_store', `the payload store refuses the key ${objectKey}`);
    return admitted.map(({ payload }, index) => ({ objectKey, offset: offsets[index], bytes: payload.length }));
  }
}

/** The record in front of the payload at `offset`, undefined where there is none. Rejects as Blobs.read does. */
export async function readSegmentRecord(blobs: Blobs, objectKey: string, offset: number): Promise<Buffer | undefined> {
  const start = Math.max(0, offset - bytesBeforePayload(recordBytesMax));
  return recordBeforePayload(await blobs.read({ objectKey, offset: start, bytes: offset - start }));
}
