import type { DeviceRecord } from './record.ts';

/**
 * The closed list of what a caller can be told, with the HTTP status of each. `rejected` is final: the request or the
 * record is at fault. `unavailable` is ours: nothing has been decided, send it again. docs/errors.md explains each one,
 * and a test holds the two together.
 */
export const refusals = {
  malformed_json: { status: 400, kind: 'rejected' },
  invalid_field: { status: 400, kind: 'rejected' },
  source_not_allowed: { status: 403, kind: 'rejected' },
  not_found: { status: 404, kind: 'rejected' },
  method_not_allowed: { status: 405, kind: 'rejected' },
  request_timeout: { status: 408, kind: 'rejected' },
  body_too_large: { status: 413, kind: 'rejected' },
  unsupported_media_type: { status: 415, kind: 'rejected' },
  payload_hash_mismatch: { status: 422, kind: 'rejected' },
  identity_mismatch: { status: 422, kind: 'rejected' },
  unknown_device: { status: 422, kind: 'rejected' },
  device_suspended: { status: 422, kind: 'rejected' },
  invalid_signature: { status: 422, kind: 'rejected' },
  object_ref_not_allowed: { status: 422, kind: 'rejected' },
  duplicate_record: { status: 422, kind: 'rejected' },
  equivocation: { status: 422, kind: 'rejected' },
  invalid_sequence: { status: 422, kind: 'rejected' },
  invalid_previous_hash: { status: 422, kind: 'rejected' },
  predecessor_rejected: { status: 422, kind: 'rejected' },
  bad_http: { status: 400, kind: 'rejected' },
  headers_too_large: { status: 431, kind: 'rejected' },
  rate_limited: { status: 429, kind: 'unavailable' },
  overloaded: { status: 503, kind: 'unavailable' },
  ledger_unavailable: { status: 503, kind: 'unavailable' },
  payload_store_unavailable: { status: 503, kind: 'unavailable' },
  chain_contended: { status: 503, kind: 'unavailable' },
  draining: { status: 503, kind: 'unavailable' },
  internal_error: { status: 503, kind: 'unavailable' },
} as const satisfies Record<string, { status: number; kind: 'rejected' | 'unavailable' }>;

export type RefusalCode = keyof typeof refusals;
type CodeOfKind<K> = { [C in RefusalCode]: (typeof refusals)[C]['kind'] extends K ? C : never }[RefusalCode];
export type RejectionCode = CodeOfKind<'rejected'>;
export type UnavailableCode = CodeOfKind<'unavailable'>;

/** A final refusal of one record. `message` keeps the text that edgesentry-rs devices and runbooks match on. */
export type Rejection = {
  readonly code: RejectionCode;
  readonly message: string;
  /** The sequence that the chain waits for, where the device can go on from it. */
  readonly expectedSequence?: bigint;
  /** For a used sequence: whether the very same record is already in the ledger, so that the device can go on. */
  readonly identical?: boolean;
};

const failed = (what: string) => `ingest verification failed: ${what}`;
const at = (record: DeviceRecord) => `device=${record.deviceId} sequence=${record.sequence}`;

/** One constructor a rejection of a well-formed record, in the order of the checks. */
export const reject = {
  payloadHashMismatch: (record: DeviceRecord): Rejection => ({
    code: 'payload_hash_mismatch',
    message: `payload hash mismatch for ${at(record)}`,
  }),
  identityMismatch: (record: DeviceRecord, identity: string): Rejection => ({
    code: 'identity_mismatch',
    message: failed(`auth/device mismatch: cert_identity=${identity} device_id=${record.deviceId}`),
  }),
  unknownDevice: (record: DeviceRecord): Rejection => ({
    code: 'unknown_device',
    message: failed(`unknown device: ${record.deviceId}`),
  }),
  deviceSuspended: (record: DeviceRecord): Rejection => ({
    code: 'device_suspended',
    message: failed(`unknown device: ${record.deviceId} (suspended)`),
  }),
  invalidSignature: (record: DeviceRecord): Rejection => ({
    code: 'invalid_signature',
    message: failed(`invalid signature for device=${record.deviceId}`),
  }),
  objectRefNotAllowed: (record: DeviceRecord): Rejection => ({
    code: 'object_ref_not_allowed',
    message: failed(`object_ref of device=${record.deviceId} must lie under ${record.deviceId}/`),
  }),
  /** The sequence is used: by this very record (a retry), or by another one (equivocation). */
  used: (record: DeviceRecord, identical: boolean, expectedSequence: bigint): Rejection => ({
    code: identical ? 'duplicate_record' : 'equivocation',
    message: failed(`duplicate record for ${at(record)}`),
    identical,
    expectedSequence,
  }),
  invalidSequence: (record: DeviceRecord, expectedSequence: bigint): Rejection => ({
    code: 'invalid_sequence',
    message: failed(
      `invalid sequence for device=${record.deviceId}: expected=${expectedSequence} actual=${record.sequence}`,
    ),
    expectedSequence,
  }),
  invalidPreviousHash: (record: DeviceRecord): Rejection => ({
    code: 'invalid_previous_hash',
    message: failed(`invalid previous hash for device=${record.deviceId}`),
    expectedSequence: record.sequence,
  }),
  predecessorRejected: (record: DeviceRecord): Rejection => ({
    code: 'predecessor_rejected',
    message: failed(`an earlier record of device=${record.deviceId} in this batch was refused`),
  }),
};
