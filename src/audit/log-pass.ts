import type { Findings, Mismatch } from './findings.ts';
import type { LedgerSnapshot, LogDifference } from './ports.ts';

/**
 * Every accepted record has its row in the operation log, and the other way round. The chain alone cannot show that its
 * last records are gone; this can, and a log without them leaves their copies in the payload store.
 */
export async function auditLog(ledger: LedgerSnapshot, findings: Findings): Promise<void> {
  for await (const page of ledger.logDifferences())
    for (const difference of page) findings.add(difference, mismatches[difference.missingFrom]);
}

const mismatches: Record<LogDifference['missingFrom'], Mismatch> = {
  ledger: {
    problem: 'the operation log says that it was accepted, and the ledger does not have it',
    expected: 'a record',
    actual: 'none',
  },
  log: {
    problem: 'the operation log does not say that it was accepted',
    expected: "an 'Accepted' decision",
    actual: 'none',
  },
};
