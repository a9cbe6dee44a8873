import { auditChains, type ChainCounts } from './chain-pass.ts';
import { auditEvidence } from './evidence-pass.ts';
import { type Break, Findings } from './findings.ts';
import { auditLog } from './log-pass.ts';
import { auditPayloads, type PayloadCounts, type UnreferencedCopy } from './payload-pass.ts';
import type { LedgerCounts, LedgerSnapshot, PayloadCopies } from './ports.ts';

export type AuditOptions = {
  readonly ledger: LedgerSnapshot;
  /** Undefined: the payloads are left out. */
  readonly copies: PayloadCopies | undefined;
  /** Whether the snapshot holds every device, so that an object without a row can be told. */
  readonly allDevices: boolean;
  /** Told often; `text` says how far it is. */
  readonly onProgress: (text: () => string) => void;
  readonly onUnreferenced: (copy: UnreferencedCopy) => void;
  readonly signal: AbortSignal;
};

export type AuditReport = LedgerCounts &
  ChainCounts & {
    readonly equivocations: number;
    /** Undefined where the payloads were left out. */
    readonly payloads: PayloadCounts | undefined;
    readonly breaks: number;
    readonly firstBreak: Break | undefined;
  };

/**
 * Replays the ledger and the payload store through the functions that admitted what is in them. Every break is counted,
 * the first is named. Rejects when ledger or store fail, or with the signal's reason: then nothing is proved.
 */
export async function audit(options: AuditOptions): Promise<AuditReport> {
  const { ledger, copies, allDevices, onProgress, onUnreferenced, signal } = options;
  const findings = new Findings();
  const broken = () => (findings.count === 0 ? '' : `, ${findings.count} breaks`);
  const ledgerCounts = await ledger.counts();

  const chains: ChainCounts = { devices: 0, records: 0, clockSkewed: 0 };
  await auditChains(ledger, findings, chains, () => {
    signal.throwIfAborted();
    onProgress(() => `${chains.records} records of ${chains.devices} devices verified${broken()}`);
  });
  await auditLog(ledger, findings);
  const equivocations = await auditEvidence(ledger, findings);

  const payloads: PayloadCounts = { objects: 0, payloads: 0, payloadBytes: 0, unreferenced: 0 };
  if (copies !== undefined)
    await auditPayloads({
      ledger,
      copies,
      findings,
      counts: payloads,
      listed: allDevices,
      onObject: () => onProgress(() => `${payloads.payloads} of ${chains.records} payloads verified${broken()}`),
      onUnreferenced,
      signal,
    });
  return {
    ...ledgerCounts,
    ...chains,
    equivocations,
    payloads: copies && payloads,
    breaks: findings.count,
    firstBreak: findings.first,
  };
}
