import type { RefusalCode } from '../record/rejection.ts';

/** The `message` of every line that admission writes. Runbooks and log queries go by these texts. */
export const logMessages = {
  accepted: 'record accepted',
  rejected: { http: 'record rejected', mqtt: 'MQTT record rejected' },
  /** Nothing was decided, the sender was told to send again. */
  undecided: 'record not decided',
  /** A request that never became a record to judge. */
  requestRefused: 'request refused',
  /** Before there was a request. */
  connectionRefused: 'connection refused',
  certificateSwapped: 'certificate swapped',
  certificateRefused: 'certificate refused',
  componentFailed: 'component failed',
  /** The OpenTelemetry SDK reports something, such as a collector that cannot be reached. */
  tracingProblem: 'tracing problem',
  spansLost: 'spans lost at shutdown',
} as const;

/** The `reason` of each refusal code. */
export const reasons = {
  malformed_json: 'malformed JSON',
  invalid_field: 'invalid field',
  source_not_allowed: 'source not allowed',
  not_found: 'not found',
  method_not_allowed: 'method not allowed',
  request_timeout: 'request timeout',
  body_too_large: 'body too large',
  unsupported_media_type: 'unsupported media type',
  payload_hash_mismatch: 'payload hash mismatch',
  identity_mismatch: 'auth/device mismatch',
  unknown_device: 'unknown device',
  device_suspended: 'device suspended',
  invalid_signature: 'invalid signature',
  object_ref_not_allowed: 'object_ref not allowed',
  duplicate_record: 'duplicate record',
  equivocation: 'equivocation',
  invalid_sequence: 'invalid sequence',
  invalid_previous_hash: 'invalid previous hash',
  predecessor_rejected: 'predecessor rejected',
  bad_http: 'bad HTTP',
  headers_too_large: 'headers too large',
  rate_limited: 'rate limited',
  overloaded: 'overloaded',
  ledger_unavailable: 'ledger unavailable',
  payload_store_unavailable: 'payload store unavailable',
  chain_contended: 'chain contended',
  draining: 'draining',
  internal_error: 'internal error',
} as const satisfies Record<RefusalCode, string>;
