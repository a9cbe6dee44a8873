import { randomUUID } from 'node:crypto';
import { Batcher } from '../ingest/batcher.ts';
import { type AdmittedRecord, type PayloadLocation, type PayloadStore, Unavailable } from '../ingest/ports.ts';
import { deviceIdBytesMax, hashBytes, objectRefBytesMax, signatureBytes } from '../record/record.ts';
import type { Blobs } from './blobs.ts';
import { PutDeadline, putDeadlineMs, waitedTooLong } from './put-deadline.ts';
import { bytesBeforePayload, encodeSegment, frameOverheadBytes, recordBeforePayload } from './segment-format.ts';

/** A put of this size takes a fraction of a second on a gigabit link; larger ones only add to wait and memory. */
const segmentBytesMax = 2 * 1024 * 1024;
/** Past this a put's own cost is spread thin enough; a segment that fails refuses no more records than this. */
const segmentRecordsMax = 1024;
/** Five varints of at most ten bytes, one byte for the signature's length, and the fields. */
const recordBytesMax = 50 + 1 + deviceIdBytesMax + 2 * hashBytes + signatureBytes + objectRefBytesMax;

type Queued = {
  readonly admitted: AdmittedRecord;
  readonly deadline: PutDeadline;
  readonly giveUp: (why: Unavailable) => void;
};

/** The payloads that queued while the last puts ran become one object: `segments/<day of writing, UTC>/<uuid>`. */
export class SegmentLayout implements PayloadStore {
  readonly #blobs: Blobs;
  readonly #batcher: Batcher<Queued, PayloadLocation | undefined>;
  readonly #deadlineMs: number;

  constructor(blobs: Blobs, putsMax: number, deadlineMs = putDeadlineMs) {
    this.#blobs = blobs;
    this.#deadlineMs = deadlineMs;
    this.#batcher = new Batcher({
      run: (queued) => this.#put(queued),
      defer: (task) => setImmediate(task),
      itemsMax: segmentRecordsMax,
      weightMax: segmentBytesMax,
      weightOf: ({ admitted: { encoded, payload } }) => frameOverheadBytes + encoded.length + payload.length,
      callsMax: putsMax,
    });
  }

  put(admitted: AdmittedRecord): Promise<PayloadLocation> {
    const { promise, resolve, reject } = Promise.withResolvers<PayloadLocation>();
    const queued = { admitted, deadline: new PutDeadline(this.#deadlineMs), giveUp: reject };
    // Without a location it has been given up.
    this.#batcher.add(queued).then((location) => location && resolve(location), reject);
    return promise;
  }

  /** Gives up what waited too long, at once, and puts the others by the deadline of the first of them. */
  async #put(queued: readonly Queued[]): Promise<(PayloadLocation | undefined)[]> {
    const first = queued.findIndex(({ deadline }) => deadline.inTime);
    const late = first < 0 ? queued : queued.slice(0, first);
    for (const { giveUp } of late) giveUp(waitedTooLong());
    const begun = queued.slice(late.length);
    const locations = begun[0] === undefined ? [] : await this.#putSegment(begun, begun[0].deadline.endMs);
    return [...late.map(() => undefined), ...locations];
  }

  async #putSegment(queued: readonly Queued[], endMs: number): Promise<PayloadLocation[]> {
    const objectKey = `segments/${new Date().toISOString().slice(0, 10)}/${randomUUID()}`;
    const frames = queued.map(({ admitted: { encoded, payload } }) => ({ record: encoded, payload }));
    const { content, offsets } = encodeSegment(frames);
    // Taken: by an earlier attempt of this very put, since nothing else knows the name.
    if ((await this.#blobs.putOnce(objectKey, content, undefined, endMs)) === 'unusable')
      throw new Unavailable('payload_store', `the payload store refuses the key ${objectKey}`);
    return frames.map(({ payload }, index) => ({ objectKey, offset: offsets[index], bytes: payload.length }));
  }
}

/** The record in front of the payload at `offset`, undefined where there is none. Rejects as Blobs.read does. */
export async function readSegmentRecord(blobs: Blobs, objectKey: string, offset: number): Promise<Buffer | undefined> {
  const start = Math.max(0, offset - bytesBeforePayload(recordBytesMax));
  return recordBeforePayload(await blobs.read({ objectKey, offset: start, bytes: offset - start }));
}
