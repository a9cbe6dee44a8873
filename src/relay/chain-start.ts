import { Unavailable } from '../ingest/ports.ts';
import { type ChainHead, genesis } from '../record/record.ts';
import type { CentreHeads } from './centre-heads.ts';
import type { ChainLinks } from './chain-links.ts';
import type { ForwardQueue } from './forward-queue.ts';

export type ChainStartOptions = {
  readonly links: ChainLinks;
  readonly queue: Pick<ForwardQueue, 'holds'>;
  readonly centre: Pick<CentreHeads, 'head'>;
};

/**
 * What a device's chain hangs on at this site. A device may have sent to the centre before it sent here, so the centre's
 * head counts wherever nothing of the device waits in the queue. While the centre cannot be asked, what is kept here
 * does; for a device that was never seen here only a record with sequence 1 speaks for itself.
 */
export class ChainStart {
  readonly #options: ChainStartOptions;
  /** Devices with a first record under judgement, and how many of them. */
  readonly #firsts = new Map<string, number>();

  constructor(options: ChainStartOptions) {
    this.#options = options;
  }

  /** A record with sequence 1 is under judgement, until the disposable is disposed of. */
  expectFirst(deviceId: string): Disposable {
    this.#firsts.set(deviceId, (this.#firsts.get(deviceId) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const left = (this.#firsts.get(deviceId) ?? 0) - 1;
        if (left > 0) this.#firsts.set(deviceId, left);
        else this.#firsts.delete(deviceId);
      },
    };
  }

  isKnown(deviceId: string): boolean {
    return this.#options.links.head(deviceId) !== undefined;
  }

  /** Rejects with Unavailable when it has to be the centre's head and the centre cannot be reached. */
  async learn(deviceId: string): Promise<void> {
    await this.#refresh(deviceId);
    if (this.isKnown(deviceId) || this.#firsts.has(deviceId)) return;
    throw new Unavailable(
      'ledger',
      `the chain of device=${deviceId} is not known here, and the centre is out of reach`,
    );
  }

  async head(deviceId: string): Promise<ChainHead> {
    await this.#refresh(deviceId);
    return this.#options.links.head(deviceId) ?? genesis;
  }

  /** Takes over the centre's head where that is ahead. */
  async #refresh(deviceId: string): Promise<void> {
    const { links, queue, centre } = this.#options;
    if (queue.holds(deviceId)) return;
    const theirs = await centre.head(deviceId);
    // A record may have come in meanwhile. Then what is here goes first, and the centre judges it.
    if (theirs === undefined || queue.holds(deviceId)) return;
    const ours = links.head(deviceId);
    if (ours === undefined || theirs.sequence > ours.sequence) links.add(deviceId, theirs);
  }
}
