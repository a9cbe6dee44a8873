import type { Envelope } from '../record/record.ts';
import type { Admission } from './admission.ts';
import type { ClockSkew } from './clock-skew.ts';
import type { AdmittedRecord, PayloadLocation, Sender } from './ports.ts';

/** A record under judgement, with what has been done for it so far. */
export type Candidate = {
  readonly envelope: Envelope;
  readonly sender: Sender;
  /** Of the operation log row and of the log line. */
  readonly decisionId: string;
  readonly admission: Admission;
  readonly predecessor: Admission | undefined;
  readonly clockSkew: ClockSkew;
  /** What is derived from the record once it passed the checks. */
  admitted?: AdmittedRecord;
  /** Started at most once, however often the record is judged again. */
  stored?: Promise<PayloadLocation>;
};
