import { isInLedger } from '../../src/ingest/verdict.ts';
import { blake3Hash } from '../../src/record/hash.ts';
import { judgeAuthor, judgeObjectRef } from '../../src/record/judge.ts';
import { genesis } from '../../src/record/record.ts';
import type { Rejection, UnavailableCode } from '../../src/record/rejection.ts';
import type { Attempt } from './attempt.ts';
import { hashOf } from './device-model.ts';
import type { MemoryLedger, Row } from './memory-ledger.ts';
import type { MemoryObjects } from './memory-objects.ts';
import { confirmAgeMs } from './replica.ts';

export type VerdictCheckOptions = {
  readonly ledger: MemoryLedger;
  readonly objects: MemoryObjects;
  readonly predecessorWaitMs: number;
  /** The longest that a call and its answer can take. */
  readonly roundTripMsMax: number;
  /** How many senders have been told of a refusal, by the row of the operation log that counts it. */
  readonly told: Map<string, number>;
};

/** Codes that a healthy service can answer; `internal_error` would be a defect, and nothing here drains. */
const expectedUnavailable: readonly UnavailableCode[] = [
  'rate_limited',
  'overloaded',
  'ledger_unavailable',
  'payload_store_unavailable',
  'chain_contended',
];

/** What is wrong with this verdict at the moment of its answer, undefined when it is true and durable. */
export function verdictFault(attempt: Attempt, options: VerdictCheckOptions): string | undefined {
  const { verdict, envelope } = attempt;
  const { record } = envelope;
  switch (verdict?.status) {
    case undefined:
      return 'there is none';
    case 'unavailable':
      return expectedUnavailable.includes(verdict.code) ? undefined : `I6: ${verdict.code}`;
    case 'accepted': {
      const row = options.ledger.rowAt(record.deviceId, record.sequence);
      if (row === undefined) return 'I1: accepted, but there is no row';
      if (!verdict.recordHash.equals(hashOf(record))) return 'I3: accepted under another hash';
      if (!row.recordHash.equals(verdict.recordHash)) return 'I3: accepted, but another record has the place';
      return payloadFault(row, options.objects);
    }
    case 'rejected': {
      const unlogged = logFault(verdict.rejection, attempt, options);
      if (unlogged !== undefined) return `I1: rejected ${verdict.rejection.code}, but ${unlogged}`;
      const untrue = falsehood(verdict.rejection, attempt, options);
      return untrue && `I3: rejected ${verdict.rejection.code}, but ${untrue}`;
    }
  }
}

/** Why the operation log does not count this refusal beside those that were told before, undefined when it does. */
function logFault(
  { code }: Rejection,
  { decisionId = '', envelope: { record } }: Attempt,
  options: VerdictCheckOptions,
) {
  const row = options.ledger.log.get(decisionId);
  if (row?.decision !== 'Rejected' || row.code !== code) return 'it is not in the operation log';
  const told = (options.told.get(decisionId) ?? 0) + 1;
  options.told.set(decisionId, told);
  if (told > row.count) return `its row counts ${row.count} and ${told} have been told`;
  const ofDevice = row.deviceId === record.deviceId || (row.deviceId === '' && row.count > 1);
  return ofDevice ? undefined : 'its row is of another device';
}

/** I5: the bytes at the row's location, against its payload hash. */
export function payloadFault({ location, record }: Row, objects: MemoryObjects): string | undefined {
  if (!objects.objects.has(location.objectKey)) return `I1: there is no object ${location.objectKey}`;
  const payload = objects.read(location);
  return blake3Hash(payload).equals(record.payloadHash) ? undefined : `I5: other bytes lie at ${location.objectKey}`;
}

/** Why the rejection is not true of what was committed, undefined when it is. */
function falsehood(rejection: Rejection, attempt: Attempt, options: VerdictCheckOptions): string | undefined {
  const { record, payload } = attempt.envelope;
  const { ledger } = options;
  const there = ledger.rowAt(record.deviceId, record.sequence);
  switch (rejection.code) {
    case 'payload_hash_mismatch':
      return blake3Hash(payload).equals(record.payloadHash) ? 'the payload has its hash' : undefined;
    case 'unknown_device':
    case 'device_suspended':
    case 'invalid_signature':
      return authorFalsehood(rejection.code, attempt, options);
    case 'object_ref_not_allowed':
      return judgeObjectRef(record, 'device') === undefined ? 'it lies under the device' : undefined;
    case 'duplicate_record':
      return there?.recordHash.equals(hashOf(record)) ? undefined : 'this record is not in the ledger';
    case 'equivocation':
      if (there === undefined || there.recordHash.equals(hashOf(record))) return 'no other record has the place';
      // A row that refusals share has none: src/ingest/refusal-log.ts.
      if ((ledger.log.get(attempt.decisionId ?? '')?.count ?? 0) > 1) return undefined;
      return ledger.evidence.has(hashOf(record).toString('hex')) ? undefined : 'the evidence was not kept';
    case 'invalid_previous_hash': {
      const before = ledger.rowAt(record.deviceId, record.sequence - 1n)?.recordHash;
      const head = record.sequence === 1n ? genesis.recordHash : before;
      return head === undefined || record.prevRecordHash.equals(head) ? 'it links to what is there' : undefined;
    }
    case 'invalid_sequence': {
      // The last look at the head began at most one round trip before the deadline.
      const waitedMs = Math.max(0, options.predecessorWaitMs - options.roundTripMsMax);
      const before = ledger.rowAt(record.deviceId, record.sequence - 1n);
      const inTime = before !== undefined && before.committedMs <= attempt.arrivedMs + waitedMs;
      return record.sequence === 1n || inTime ? 'its predecessor was there in time' : undefined;
    }
    case 'predecessor_rejected': {
      const before = attempt.predecessor?.verdict;
      return before?.status === 'rejected' && !isInLedger(before) ? undefined : 'its predecessor was not';
    }
    default:
      return 'admission has no such answer';
  }
}

/** A refusal of the author has to hold for the device as the registry had it, now or as long ago as needs no confirming. */
function authorFalsehood(
  code: Rejection['code'],
  { envelope: { record }, arrivedMs }: Attempt,
  { ledger: { registry, scheduler } }: VerdictCheckOptions,
): string | undefined {
  const sinceMs = arrivedMs - confirmAgeMs;
  const versions = registry.between(record.deviceId, sinceMs, scheduler.nowMs);
  const [first] = versions;
  if (code === 'unknown_device' && (first === undefined || first.fromMs >= sinceMs)) return undefined;
  if (first === undefined) return 'the device is unknown';
  const holds = versions.some(
    ({ device, fromMs }) => judgeAuthor(record, device, Math.max(fromMs, arrivedMs))?.code === code,
  );
  return holds ? undefined : 'no version of the device says so';
}
