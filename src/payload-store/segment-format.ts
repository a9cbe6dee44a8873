/**
 * A segment: the payloads of one batch in one object, each behind the record that it belongs to. Integers are unsigned,
 * 32 bits, big-endian.
 *
 *     magic | frames | frame, frame, ...       frame = recordBytes | record | recordBytes | payloadBytes | payload
 *
 * The record's length stands at both of its ends: a reader that knows only where a payload begins finds its record too.
 * The number of frames stands in front, so that no truncation goes unnoticed.
 */

const magic = Buffer.from('edgesentry-segment-1\n', 'ascii');
const u32Bytes = 4;
const headerBytes = magic.length + u32Bytes;
/** What a frame adds to its record and payload. */
export const frameOverheadBytes = 3 * u32Bytes;
/** What stands between a record and its payload. */
const gapBytes = 2 * u32Bytes;

export type Frame = { readonly record: Buffer; readonly payload: Buffer };
/** `offset` is that of the payload in the segment. */
export type PlacedFrame = Frame & { readonly offset: number };

/** Says what is wrong with a segment, and at which byte. */
export class SegmentError extends Error {
  override readonly name = 'SegmentError';
}

/** The segment's bytes, and the offset of each payload in it. */
export function encodeSegment(frames: readonly Frame[]): { content: Buffer; offsets: number[] } {
  const bytes = frames.reduce((sum, { record, payload }) => sum + frameBytes(record, payload), headerBytes);
  const content = Buffer.allocUnsafe(bytes);
  magic.copy(content);
  let at = content.writeUInt32BE(frames.length, magic.length);
  const offsets = frames.map(({ record, payload }) => {
    at = content.writeUInt32BE(record.length, at);
    at += record.copy(content, at);
    at = content.writeUInt32BE(record.length, at);
    at = content.writeUInt32BE(payload.length, at);
    const offset = at;
    at += payload.copy(content, at);
    return offset;
  });
  return { content, offsets };
}

function frameBytes(record: Buffer, payload: Buffer): number {
  return frameOverheadBytes + record.length + payload.length;
}

/** Every frame of a segment, as views of its bytes. @throws SegmentError */
export function decodeSegment(content: Buffer): PlacedFrame[] {
  if (!content.subarray(0, magic.length).equals(magic)) throw new SegmentError('not a segment: the magic is missing');
  const reader = new FrameReader(content, magic.length);
  const count = reader.integer('the number of frames');
  const frames: PlacedFrame[] = [];
  while (frames.length < count) frames.push(reader.frame());
  reader.end();
  return frames;
}

/**
 * The record whose frame ends at the end of `bytes`, which are those before a payload, or the last of them; undefined
 * when it begins before them or no frame's front is there.
 */
export function recordBeforePayload(bytes: Buffer): Buffer | undefined {
  const end = bytes.length - gapBytes;
  if (end < 0) return undefined;
  const recordBytes = bytes.readUInt32BE(end);
  const start = end - recordBytes;
  if (start < u32Bytes || bytes.readUInt32BE(start - u32Bytes) !== recordBytes) return undefined;
  return bytes.subarray(start, end);
}

/** The most bytes before a payload that recordBeforePayload needs for a record of `recordBytesMax`. */
export const bytesBeforePayload = (recordBytesMax: number) => u32Bytes + recordBytesMax + gapBytes;

class FrameReader {
  readonly #content: Buffer;
  #at: number;

  constructor(content: Buffer, at: number) {
    this.#content = content;
    this.#at = at;
  }

  integer(what: string): number {
    return this.#take(u32Bytes, what).readUInt32BE();
  }

  frame(): PlacedFrame {
    const record = this.#take(this.integer('a record length'), 'a record');
    const repeated = this.integer('the second record length');
    if (repeated !== record.length)
      throw new SegmentError(`a record of ${record.length} bytes ends with the length ${repeated} before ${this.#at}`);
    const payloadBytes = this.integer('a payload length');
    const offset = this.#at;
    return { record, payload: this.#take(payloadBytes, 'a payload'), offset };
  }

  end(): void {
    const left = this.#content.length - this.#at;
    if (left > 0) throw new SegmentError(`${left} bytes follow the last frame`);
  }

  #take(bytes: number, what: string): Buffer {
    const end = this.#at + bytes;
    if (end > this.#content.length) throw new SegmentError(`the segment ends inside ${what} at byte ${this.#at}`);
    const part = this.#content.subarray(this.#at, end);
    this.#at = end;
    return part;
  }
}
