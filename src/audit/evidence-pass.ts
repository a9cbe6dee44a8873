import type { Device } from '../record/device.ts';
import { decodeRecord, EncodingError } from '../record/encoding.ts';
import { blake3Hash } from '../record/hash.ts';
import type { DeviceRecord } from '../record/record.ts';
import { authorMismatch } from './author-mismatch.ts';
import type { Findings, Mismatch } from './findings.ts';
import type { Equivocation, LedgerSnapshot } from './ports.ts';

/** Each kept equivocation is a signed record of its device that claims the place of another one. Answers how many. */
export async function auditEvidence(ledger: LedgerSnapshot, findings: Findings): Promise<number> {
  let count = 0;
  for await (const page of ledger.equivocations()) {
    const devices = await ledger.devices([...new Set(page.map(({ deviceId }) => deviceId))]);
    for (const evidence of page) findings.add(evidence, evidenceMismatch(evidence, devices.get(evidence.deviceId)));
    count += page.length;
  }
  return count;
}

function evidenceMismatch(evidence: Equivocation, device: Device | undefined): Mismatch | undefined {
  const { deviceId, sequence, recordHash, encoded, receivedAtMs, ledgerRecordHash } = evidence;
  const problem = (text: string) => `in the evidence of an equivocation: ${text}`;
  const computed = blake3Hash(encoded);
  if (!computed.equals(recordHash))
    return {
      problem: problem('the record is not the one that was kept'),
      expected: `record_hash ${recordHash.toString('hex')}`,
      actual: computed.toString('hex'),
    };
  const record = decoded(encoded);
  if (typeof record === 'string')
    return { problem: problem('the bytes are no record'), expected: 'a record', actual: record };
  if (record.deviceId !== deviceId || record.sequence !== sequence)
    return {
      problem: problem('the record is of another place'),
      expected: `device ${deviceId} sequence ${sequence}`,
      actual: `device ${record.deviceId} sequence ${record.sequence}`,
    };
  if (ledgerRecordHash === undefined || ledgerRecordHash.equals(recordHash))
    return {
      problem: problem('the ledger has no other record at its place'),
      expected: `a record_hash other than ${recordHash.toString('hex')}`,
      actual: ledgerRecordHash === undefined ? 'no record' : 'the same record',
    };
  const author = authorMismatch(record, device, receivedAtMs);
  return author && { ...author, problem: problem(author.problem) };
}

/** The record, or why the bytes are none. */
function decoded(bytes: Buffer): DeviceRecord | string {
  try {
    return decodeRecord(bytes);
  } catch (error) {
    if (error instanceof EncodingError) return error.message;
    throw error;
  }
}
