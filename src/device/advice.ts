import type { RejectionCode } from '../record/rejection.ts';

const advice: Readonly<Record<RejectionCode, string>> = {
  malformed_json: 'the envelope is not sound JSON: correct it at its source',
  invalid_field: 'correct the field that the message names',
  source_not_allowed: "have this address added to the service's --allowed-sources",
  not_found: 'check the address of the service',
  method_not_allowed: 'check the address of the service',
  request_timeout: 'the network is too slow for this much at once: send with --single',
  body_too_large: 'send with --single, or smaller payloads',
  unsupported_media_type: 'check the address of the service',
  payload_hash_mismatch: 'the payload is not the one that was signed: sign it again',
  identity_mismatch: "send with the device's own certificate",
  unknown_device: 'have the device registered with eds device register',
  device_suspended: 'ask the operator why the device is suspended',
  invalid_signature: 'compare the key (eds inspect-key) and its scheme with those registered (eds device list)',
  object_ref_not_allowed: 'name objects under <device-id>/ with --object-prefix',
  duplicate_record: 'nothing is lost, the record is there already',
  equivocation: 'another record was signed at this sequence: find who else signs for this device',
  invalid_sequence: 'send again: sending goes on from the head that the service has',
  invalid_previous_hash: 'send again: sending goes on from the head that the service has',
  predecessor_rejected: 'see to the first refused record of the device',
  bad_http: 'check what is between here and the service',
  headers_too_large: 'check what is between here and the service',
};

/** What whoever sends a record can do about its refusal. */
export function adviceOn(code: string): string {
  return new Map<string, string>(Object.entries(advice)).get(code) ?? "see the service's list of errors";
}
