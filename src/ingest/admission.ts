import type { UnavailableCode } from '../record/rejection.ts';
import { isInLedger, type Verdict } from './verdict.ts';

/** What is certain of a record, as far as the next one of its batch has to know: what was not decided is told by its code. */
export type Judgement = 'in-ledger' | 'refused' | UnavailableCode;

/** A record on its way to its verdict. */
export class Admission {
  readonly #placed = Promise.withResolvers<void>();
  readonly #judged = Promise.withResolvers<void>();
  readonly #verdict = Promise.withResolvers<Verdict>();
  #judgement: Judgement | undefined;
  #settled: Verdict | undefined;

  /** Resolves once the record has a place in its device's chain, or is judged. */
  get placed(): Promise<void> {
    return this.#placed.promise;
  }

  /** Resolves once there is a judgement: for a refusal that is before its operation log is durable, and so its verdict. */
  get judged(): Promise<void> {
    return this.#judged.promise;
  }

  get judgement(): Judgement | undefined {
    return this.#judgement;
  }

  get verdict(): Promise<Verdict> {
    return this.#verdict.promise;
  }

  /** The verdict, once there is one. */
  get settled(): Verdict | undefined {
    return this.#settled;
  }

  place(): void {
    this.#placed.resolve();
  }

  /** The first judgement stays. */
  judge(judgement: Judgement): void {
    this.#judgement ??= judgement;
    this.#placed.resolve();
    this.#judged.resolve();
  }

  settle(verdict: Verdict): void {
    this.#settled = verdict;
    if (isInLedger(verdict)) this.judge('in-ledger');
    else this.judge(verdict.status === 'unavailable' ? verdict.code : 'refused');
    this.#verdict.resolve(verdict);
  }
}
