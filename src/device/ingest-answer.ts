import { hexToBytes } from '../record/hex.ts';
import { ExactNumber, JsonError, type JsonObject, type JsonValue, parseJson } from '../record/json.ts';
import { type ChainHead, hashBytes } from '../record/record.ts';

/** What the service says of one record, as its sender reads it. `code` is one of record/rejection.ts, or a later service's. */
export type IngestAnswer =
  | { readonly status: 'accepted'; readonly recordHash: string }
  | {
      readonly status: 'rejected';
      readonly code: string;
      readonly error: string;
      readonly expectedSequence: bigint | undefined;
      readonly identical: boolean;
    }
  | {
      readonly status: 'unavailable';
      readonly code: string;
      readonly error: string;
      readonly retryAfterMs: number | undefined;
    };

/** An answer that the API does not give; undefined from the parsers below. A proxy's page, most often. */
export function parseAnswer(text: string): IngestAnswer | undefined {
  const fields = objectOf(text);
  if (fields === undefined) return undefined;
  const code = textOf(fields.get('code')) ?? 'unknown';
  const error = textOf(fields.get('error')) ?? '';
  switch (fields.get('status')) {
    case 'accepted':
      return { status: 'accepted', recordHash: textOf(fields.get('record_hash')) ?? '' };
    case 'rejected':
      return {
        status: 'rejected',
        code,
        error,
        expectedSequence: integerOf(fields.get('expected_sequence')),
        identical: fields.get('identical') === true,
      };
    case 'unavailable': {
      const seconds = fields.get('retry_after_seconds');
      return {
        status: 'unavailable',
        code,
        error,
        retryAfterMs: typeof seconds === 'number' ? seconds * 1000 : undefined,
      };
    }
    default:
      return undefined;
  }
}

/** The body of `GET /api/v1/devices/{id}/head`. */
export function parseHead(text: string): ChainHead | undefined {
  const fields = objectOf(text);
  const sequence = integerOf(fields?.get('sequence'));
  const recordHash = hexToBytes(textOf(fields?.get('record_hash')) ?? '');
  if (sequence === undefined || recordHash?.length !== hashBytes) return undefined;
  return { sequence, recordHash };
}

function objectOf(text: string): JsonObject | undefined {
  try {
    const value = parseJson(text);
    return value instanceof Map ? value : undefined;
  } catch (error) {
    if (error instanceof JsonError) return undefined;
    throw error;
  }
}

function textOf(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function integerOf(value: JsonValue | undefined): bigint | undefined {
  if (typeof value === 'number') return BigInt(value);
  return value instanceof ExactNumber && /^[0-9]+$/.test(value.source) ? BigInt(value.source) : undefined;
}
