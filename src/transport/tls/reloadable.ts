import type { Refused } from './material.ts';

/** `digest` tells contents apart; undefined where they could not be read. */
export type Loaded<T> = { readonly value: T; readonly digest: string };
export type NotLoaded = Refused & { readonly digest: string | undefined };

/** Reads files that belong together and judges them. @param kept what is in use, and is not judged again */
export type Load<T> = (nowMs: number, kept?: Loaded<T>) => Promise<Loaded<T> | NotLoaded>;

/** Whether somebody has asked for a look, and is owed an answer, or time or a change of the files has led to it. */
export type Manner = 'patient' | 'asked';

/** `tell`: the observer is to hear of it. `unsettled`: it may be half of a change, so another look is due soon. */
export type Look =
  | { readonly outcome: 'swapped' | 'unchanged' }
  | { readonly outcome: 'refused'; readonly reason: string; readonly tell: boolean; readonly unsettled: boolean };

/** What files that belong together held when they were last good. */
export class Reloadable<T> {
  readonly #load: Load<T>;
  #kept: Loaded<T>;
  /** What was refused at the last look, and whether the observer has been told. */
  #refusal: { readonly reason: string; readonly digest: string | undefined; readonly told: boolean } | undefined;

  constructor(load: Load<T>, first: Loaded<T>) {
    this.#load = load;
    this.#kept = first;
  }

  get value(): T {
    return this.#kept.value;
  }

  /** Never rejects: whatever is wrong with the files, what is in use stays. */
  async look(nowMs: number, manner: Manner): Promise<Look> {
    const found = await this.#load(nowMs, this.#kept).catch(unforeseen);
    if ('problems' in found) return this.#refuse(found, manner);
    this.#refusal = undefined;
    if (found.digest === this.#kept.digest) return { outcome: 'unchanged' };
    this.#kept = found;
    return { outcome: 'swapped' };
  }

  /** A pair of which one file is new and the other not yet written looks broken: so it is seen twice before it is told. */
  #refuse({ problems, digest }: NotLoaded, manner: Manner): Look {
    const reason = problems.join('\n');
    const known = this.#refusal?.reason === reason && this.#refusal.digest === digest ? this.#refusal : undefined;
    const tell = manner === 'asked' || known?.told === false;
    this.#refusal = { reason, digest, told: tell || known?.told === true };
    return { outcome: 'refused', reason, tell, unsettled: manner === 'patient' && known === undefined };
  }
}

/** Its kind only: the message of an error may quote what was read. */
function unforeseen(error: NodeJS.ErrnoException): NotLoaded {
  const kind = error.code ?? error.name;
  return { problems: [`the certificate files cannot be judged (${kind}): please report it`], digest: undefined };
}
