import { type DeviceRecord, hashBytes, signatureBytes, u64Max } from './record.ts';

/**
 * Postcard, as far as a record needs it (postcard wire specification, "varint(N)", "string", "byte array"):
 * text and byte strings carry their length as a varint, u64 is a varint, a fixed array is its bytes alone.
 */

/** u64 in groups of seven bits: ceil(64 / 7). */
const varintBytesMax = 10;
/** A u64 varint's tenth byte may carry one bit only. */
const lastVarintByteMax = 1;

/** Why bytes are not a record. Thrown by decodeRecord; the text names the field. */
export class EncodingError extends Error {
  override readonly name = 'EncodingError';
}

/** The bytes that the record hash is taken over: every field, in order. */
export function encodeRecord(record: DeviceRecord): Buffer {
  return encode(record, true);
}

/** The bytes that a `record-v2` signature covers: every field but the signature itself. */
export function encodeUnsigned(record: DeviceRecord): Buffer {
  return encode(record, false);
}

function encode(record: DeviceRecord, signed: boolean): Buffer {
  const idBytes = Buffer.byteLength(record.deviceId);
  const refBytes = Buffer.byteLength(record.objectRef);
  const bytes = Buffer.allocUnsafe(4 * varintBytesMax + idBytes + refBytes + 2 * hashBytes + 1 + signatureBytes);
  let at = writeText(bytes, 0, record.deviceId, idBytes);
  at = writeVarint(bytes, at, record.sequence);
  at = writeVarint(bytes, at, record.timestampMs);
  at += record.payloadHash.copy(bytes, at);
  if (signed) {
    bytes[at++] = signatureBytes;
    at += record.signature.copy(bytes, at);
  }
  at += record.prevRecordHash.copy(bytes, at);
  at = writeText(bytes, at, record.objectRef, refBytes);
  return bytes.subarray(0, at);
}

function writeText(bytes: Buffer, at: number, text: string, textBytes: number): number {
  const start = writeVarint(bytes, at, BigInt(textBytes));
  return start + bytes.write(text, start, 'utf8');
}

function writeVarint(bytes: Buffer, at: number, value: bigint): number {
  if (value < 0n || value > u64Max) throw new RangeError(`${value} does not fit an unsigned 64-bit integer`);
  let rest = value;
  let next = at;
  while (rest > 0x7fn) {
    bytes[next++] = Number(rest & 0x7fn) | 0x80;
    rest >>= 7n;
  }
  bytes[next++] = Number(rest);
  return next;
}

/**
 * The record that `bytes` encode. Only the one encoding that encodeRecord writes is taken: an overlong varint,
 * text that is not UTF-8 or a byte too many is an EncodingError, since two encodings of one record would have two hashes.
 */
export function decodeRecord(bytes: Buffer): DeviceRecord {
  const reader = new Reader(bytes);
  const record = {
    deviceId: reader.text('device_id'),
    sequence: reader.varint('sequence'),
    timestampMs: reader.varint('timestamp_ms'),
    payloadHash: reader.take(hashBytes, 'payload_hash'),
    signature: reader.signature(),
    prevRecordHash: reader.take(hashBytes, 'prev_record_hash'),
    objectRef: reader.text('object_ref'),
  };
  reader.end();
  return record;
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  varint(field: string): bigint {
    let value = 0n;
    for (let i = 0; i < varintBytesMax; i++) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new EncodingError(`${field}: the bytes end inside a number`);
      if (i === varintBytesMax - 1 && byte > lastVarintByteMax) break;
      value |= BigInt(byte & 0x7f) << BigInt(7 * i);
      if (byte < 0x80) {
        if (byte === 0 && i > 0) throw new EncodingError(`${field}: overlong varint`);
        return value;
      }
    }
    throw new EncodingError(`${field}: the number is larger than 64 bits`);
  }

  take(count: number, field: string): Buffer {
    const end = this.#at + count;
    if (end > this.#bytes.length) throw new EncodingError(`${field}: the bytes end too early`);
    const part = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return part;
  }

  text(field: string): string {
    const length = this.varint(field);
    // Compared as bigint, so that a length beyond 2^53 cannot round to one that fits.
    if (length > BigInt(this.#bytes.length)) throw new EncodingError(`${field}: the bytes end too early`);
    try {
      return utf8.decode(this.take(Number(length), field));
    } catch (error) {
      if (error instanceof EncodingError) throw error;
      throw new EncodingError(`${field}: not UTF-8`);
    }
  }

  signature(): Buffer {
    const length = this.varint('signature');
    if (length !== BigInt(signatureBytes))
      throw new EncodingError(`signature: ${length} bytes, expected ${signatureBytes}`);
    return this.take(signatureBytes, 'signature');
  }

  end(): void {
    const left = this.#bytes.length - this.#at;
    if (left > 0) throw new EncodingError(`${left} bytes follow the record`);
  }
}

// ignoreBOM keeps a leading U+FEFF in the text: dropping it would change the record's hash.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
