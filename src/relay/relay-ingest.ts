import type { Admission } from '../ingest/admission.ts';
import { Ingest, type IngestOptions } from '../ingest/ingest.ts';
import type { Sender } from '../ingest/ports.ts';
import type { Envelope } from '../record/record.ts';
import type { ChainStart } from './chain-start.ts';

/** Admission as at the centre; beside it, ChainStart is told of first records. */
export class RelayIngest extends Ingest {
  readonly #chainStart: ChainStart;

  constructor(options: IngestOptions, chainStart: ChainStart) {
    super(options);
    this.#chainStart = chainStart;
  }

  override admit(envelope: Envelope, sender: Sender, predecessor?: Admission): Admission {
    const { deviceId, sequence } = envelope.record;
    if (sequence !== 1n) return super.admit(envelope, sender, predecessor);
    const first = this.#chainStart.expectFirst(deviceId);
    const admission = super.admit(envelope, sender, predecessor);
    void admission.verdict.then(() => first[Symbol.dispose]());
    return admission;
  }
}
