import { hexToBytes } from './hex.ts';
import { ExactNumber, JsonError, type JsonObject, type JsonValue, parseJson } from './json.ts';
import {
  type DeviceRecord,
  deviceIdBytesMax,
  type Envelope,
  hashBytes,
  ledgerIntegerMax,
  objectRefBytesMax,
  signatureBytes,
} from './record.ts';
import { textFault } from './text.ts';

/** Why a text is no envelope or record: `code` as in rejection.ts, `message` naming the field and the way out. */
export class ParseError extends Error {
  override readonly name = 'ParseError';
  readonly code: 'malformed_json' | 'invalid_field';
  constructor(code: 'malformed_json' | 'invalid_field', message: string) {
    super(message);
    this.code = code;
  }
}

const invalid = (message: string) => new ParseError('invalid_field', message);
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * `{"record": {...}, "raw_payload_hex": "..."}` as typed values.
 * @param body UTF-8
 * @throws ParseError
 */
export function parseEnvelope(body: Uint8Array): Envelope {
  const fields = new Fields(parseUtf8Json(body), '');
  const envelope = {
    record: recordFrom(fields.value('record')),
    payload: bytes(fields.value('raw_payload_hex'), 'raw_payload_hex'),
  };
  fields.end();
  return envelope;
}

/** One record as JSON text. @throws ParseError */
export function parseRecord(text: string): DeviceRecord {
  return recordFrom(parseText(text));
}

/** Records as a JSON array, or one record a line. @throws ParseError naming the line or element */
export function parseRecords(text: string): DeviceRecord[] {
  if (!text.trimStart().startsWith('[')) {
    const lines = text.split('\n').map((line, index) => ({ line, index }));
    return lines
      .filter(({ line }) => line.trim())
      .map(({ line, index }) => named(`line ${index + 1}`, () => parseRecord(line)));
  }
  const values = parseText(text);
  if (!Array.isArray(values)) throw invalid('expected an array of records');
  return values.map((value, index) => named(`record ${index + 1}`, () => recordFrom(value)));
}

function named<T>(place: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof ParseError) throw new ParseError(error.code, `${place}: ${error.message}`);
    throw error;
  }
}

function parseUtf8Json(body: Uint8Array): JsonValue {
  let text: string;
  try {
    text = utf8.decode(body);
  } catch {
    throw new ParseError('malformed_json', 'the body is not UTF-8');
  }
  return parseText(text);
}

function parseText(text: string): JsonValue {
  try {
    return parseJson(text);
  } catch (error) {
    if (error instanceof JsonError) throw new ParseError('malformed_json', `not JSON: ${error.message}`);
    throw error;
  }
}

function recordFrom(value: JsonValue): DeviceRecord {
  const fields = new Fields(value, 'record');
  const record = {
    deviceId: deviceId(fields.value('device_id'), 'record.device_id'),
    sequence: integer(fields.value('sequence'), 'record.sequence', 1n),
    timestampMs: integer(fields.value('timestamp_ms'), 'record.timestamp_ms', 0n),
    payloadHash: bytes(fields.value('payload_hash'), 'record.payload_hash', hashBytes),
    signature: bytes(fields.value('signature'), 'record.signature', signatureBytes),
    prevRecordHash: bytes(fields.value('prev_record_hash'), 'record.prev_record_hash', hashBytes),
    objectRef: objectRef(fields.value('object_ref'), 'record.object_ref'),
  };
  fields.end();
  return record;
}

/** The members of one object, each of which must be asked for: an unknown one would be kept by nobody. */
class Fields {
  readonly #object: JsonObject;
  readonly #place: string;
  #taken = 0;
  readonly #names = new Set<string>();

  constructor(value: JsonValue, place: string) {
    if (!(value instanceof Map)) throw invalid(`${place || 'the body'} must be a JSON object`);
    this.#object = value;
    this.#place = place;
  }

  value(name: string): JsonValue {
    const value = this.#object.get(name);
    if (value === undefined) throw invalid(`${this.#path(name)} is missing`);
    this.#names.add(name);
    this.#taken++;
    return value;
  }

  end(): void {
    if (this.#taken === this.#object.size) return;
    const unknown = [...this.#object.keys()].find((name) => !this.#names.has(name)) ?? '';
    throw invalid(`${this.#path(JSON.stringify(unknown.slice(0, 64)))} is unknown: leave it out, it would not be kept`);
  }

  #path(name: string): string {
    return this.#place ? `${this.#place}.${name}` : name;
  }
}

function text(value: JsonValue, field: string, bytesMax: number): string {
  if (typeof value !== 'string') throw invalid(`${field} must be text`);
  const fault = textFault(value, bytesMax);
  if (fault !== undefined) throw invalid(`${field} ${fault}`);
  // A copy: a slice of the body would keep all of it in memory for as long as a cache remembers the name.
  return Buffer.from(value).toString();
}

function deviceId(value: JsonValue, field: string): string {
  return text(value, field, deviceIdBytesMax);
}

function objectRef(value: JsonValue, field: string): string {
  const ref = text(value, field, objectRefBytesMax);
  const key = objectKeyOf(ref);
  if (key.startsWith('/')) throw invalid(`${field} must be relative: it starts with '/'`);
  if (key.split('/').some((part) => part === '' || part === '.' || part === '..'))
    throw invalid(`${field} must name an object: no empty part, no '.' and no '..' between slashes`);
  return ref;
}

/** The object key that an `object_ref` names: an `s3://bucket/` before it is dropped. */
export function objectKeyOf(objectRef: string): string {
  return objectRef.replace(/^s3:\/\/[^/]*\//, '');
}

function integer(value: JsonValue, field: string, least: bigint): bigint {
  const exact = value instanceof ExactNumber && /^-?[0-9]+$/.test(value.source) ? BigInt(value.source) : undefined;
  const whole = typeof value === 'number' ? BigInt(value) : exact;
  if (whole === undefined) throw invalid(`${field} must be a whole number, written without fraction or exponent`);
  if (whole < least || whole > ledgerIntegerMax)
    throw invalid(`${field} must be between ${least} and ${ledgerIntegerMax}, got ${whole}`);
  return whole;
}

/** Bytes as hexadecimal text or as an array of integers; `count` of them where it is given. */
function bytes(value: JsonValue, field: string, count?: number): Buffer {
  const parsed = typeof value === 'string' ? hexToBytes(value) : Array.isArray(value) ? byteArray(value) : undefined;
  if (parsed === undefined) throw invalid(`${field} must be hexadecimal text, or an array of integers from 0 to 255`);
  if (count !== undefined && parsed.length !== count)
    throw invalid(`${field} must be ${count} bytes, got ${parsed.length}`);
  return parsed;
}

function byteArray(values: JsonValue[]): Buffer | undefined {
  const bytes = Buffer.allocUnsafe(values.length);
  for (const [index, value] of values.entries()) {
    if (typeof value !== 'number' || value < 0 || value > 255) return undefined;
    bytes[index] = value;
  }
  return bytes;
}
