import type { Device } from '../record/device.ts';
import { recordHash } from '../record/hash.ts';
import { type ChainHead, genesis } from '../record/record.ts';
import { authorMismatch } from './author-mismatch.ts';
import type { Findings, Mismatch } from './findings.ts';
import { linkMismatch } from './link-mismatch.ts';
import type { LedgerRecord, LedgerSnapshot } from './ports.ts';

export type ChainCounts = {
  devices: number;
  records: number;
  /** Records whose device's clock was past the tolerance when they arrived. */
  clockSkewed: number;
};

/** Walks every chain from its genesis: links, record hashes, signatures. `counts` is kept up to date meanwhile. */
export async function auditChains(
  ledger: LedgerSnapshot,
  findings: Findings,
  counts: ChainCounts,
  onPage: () => void,
): Promise<void> {
  let deviceId: string | undefined;
  let head = genesis;
  for await (const page of ledger.records()) {
    const devices = await ledger.devices([...new Set(page.map(({ record }) => record.deviceId))]);
    for (const row of page) {
      const { record } = row;
      if (record.deviceId !== deviceId) {
        deviceId = record.deviceId;
        head = genesis;
        counts.devices++;
      }
      findings.add(record, recordMismatch(head, row, devices.get(record.deviceId)));
      // By the stored hash, so that one altered record is one break and not two.
      head = { sequence: record.sequence, recordHash: row.recordHash };
      counts.records++;
      if (row.clockSkewMs !== undefined) counts.clockSkewed++;
    }
    onPage();
  }
}

function recordMismatch(head: ChainHead, row: LedgerRecord, device: Device | undefined): Mismatch | undefined {
  return linkMismatch(head, row.record) ?? hashMismatch(row) ?? authorMismatch(row.record, device, row.ingestedAtMs);
}

function hashMismatch({ record, recordHash: stored }: LedgerRecord): Mismatch | undefined {
  const computed = recordHash(record);
  if (computed.equals(stored)) return undefined;
  return {
    problem: 'the record is not the one that was admitted',
    expected: `record_hash ${stored.toString('hex')}`,
    actual: computed.toString('hex'),
  };
}
