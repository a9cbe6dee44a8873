import type { Verdict } from '../../src/ingest/verdict.ts';
import type { Envelope } from '../../src/record/record.ts';

/** One arrival of a record at a replica, and what became of it. */
export type Attempt = {
  readonly replica: string;
  readonly envelope: Envelope;
  readonly arrivedMs: number;
  /** The attempt before this one in the same batch. */
  readonly predecessor: Attempt | undefined;
  /** Told by the observer. */
  decisionId: string | undefined;
  verdict: Verdict | undefined;
  /** The replica crashed before it answered. */
  lost: boolean;
};

export const nameOf = ({ record }: Envelope) => `${record.deviceId}:${record.sequence}`;

export function describeVerdict(verdict: Verdict): string {
  switch (verdict.status) {
    case 'accepted':
      return 'accepted';
    case 'rejected':
      return `rejected ${verdict.rejection.code}`;
    case 'unavailable':
      return `unavailable ${verdict.code}`;
  }
}
