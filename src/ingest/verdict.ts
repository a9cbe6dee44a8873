import type { Rejection, UnavailableCode } from '../record/rejection.ts';

/**
 * What a sender is told of one record.
 * `accepted` payload, record and operation log are durable; `rejected` final, and the operation log is durable;
 * `unavailable` nothing was decided, or it is not known what was: sending again is safe.
 */
export type Verdict =
  | { readonly status: 'accepted'; readonly recordHash: Buffer }
  | { readonly status: 'rejected'; readonly rejection: Rejection }
  | {
      readonly status: 'unavailable';
      readonly code: UnavailableCode;
      /** Sooner than this it would be in vain; left out where that is not known. */
      readonly retryAfterMs?: number;
    };

export const unavailable = (code: UnavailableCode): Verdict => ({ status: 'unavailable', code });

/** Whether the records behind this one in a batch may still be judged: it is in the ledger, from now or from before. */
export function isInLedger(verdict: Verdict): boolean {
  return verdict.status === 'accepted' || (verdict.status === 'rejected' && verdict.rejection.identical === true);
}
