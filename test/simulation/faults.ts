import type { Random } from './random.ts';

/**
 * What goes wrong with one call of a replica. `before` it fails without effect; `after` it takes effect, its answer is
 * a failure; `late` its failure is reported first and it takes effect afterwards; `refused` the ledger refuses the
 * batch; the replica crashes on its way to the call or before it hears the answer.
 */
export type Fault = 'before' | 'after' | 'late' | 'refused' | 'crash-before' | 'crash-after';

export const faultsOf = {
  read: ['before', 'before', 'after', 'crash-before', 'crash-after'],
  put: ['before', 'before', 'after', 'late', 'crash-before', 'crash-after'],
  commit: ['before', 'after', 'after', 'late', 'late', 'refused', 'crash-before', 'crash-after'],
} as const satisfies Record<string, readonly Fault[]>;

/** Share of calls that fail. */
const rates = [0, 0.02, 0.08, 0.25];
/** Then the schedule is calm, so that what does not end within bounds is stuck. */
const faultsMax = 40;

export class FaultPlan {
  readonly #random: Random;
  readonly #rate: number;
  #left = faultsMax;

  constructor(random: Random) {
    this.#random = random;
    this.#rate = random.pick(rates);
  }

  draw(kind: keyof typeof faultsOf): Fault | undefined {
    if (this.#left === 0 || !this.#random.chance(this.#rate)) return undefined;
    this.#left--;
    return this.#random.pick<Fault>(faultsOf[kind]);
  }
}
