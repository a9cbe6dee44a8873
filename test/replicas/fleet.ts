import { join } from 'node:path';
import { type Environment, type Replica, startReplica } from '../../dev/eds.ts';
import { freePort } from '../../dev/ports.ts';

export type FleetOptions = {
  readonly settings: Environment;
  /** Of the replicas' logs. */
  readonly folder: string;
};

const layouts = ['object', 'segment'] as const;

/** A place in the fleet, and the process that was started there last; `ending` when we have ended it. */
type Place = { readonly replica: Replica; readonly starts: number; ending: boolean };

/**
 * Replicas of `eds serve` over the same stores. Each comes up with another payload layout than its neighbour and than
 * the process before it: a fleet in the middle of changing its layout must keep every promise as well.
 */
export class Fleet implements AsyncDisposable {
  readonly #options: FleetOptions;
  readonly #places: Place[] = [];
  /** Replicas that ended without being asked to, and how. */
  readonly crashes: string[] = [];

  private constructor(options: FleetOptions) {
    this.#options = options;
  }

  /** Resolves when all are ready. */
  static async start(size: number, options: FleetOptions): Promise<Fleet> {
    const fleet = new Fleet(options);
    const starts = await Promise.allSettled(
      Array.from({ length: size }, async (_, index) => {
        fleet.#places[index] = await fleet.#launch(index, 1);
      }),
    );
    const failed = starts.find((start) => start.status === 'rejected');
    if (failed === undefined) return fleet;
    await fleet[Symbol.asyncDispose]();
    throw failed.reason;
  }

  get size(): number {
    return this.#places.length;
  }

  /** The address of a dead replica stays until another is started in its place. */
  get urls(): readonly string[] {
    return this.#places.map(({ replica }) => replica.url);
  }

  get opsUrls(): readonly string[] {
    return this.#places.map(({ replica }) => replica.opsUrl);
  }

  pid(index: number): number {
    const { pid } = this.#place(index).replica;
    if (pid === undefined) throw new Error(`replica ${index} has no process`);
    return pid;
  }

  /** As a crash. */
  async kill(index: number): Promise<void> {
    const place = this.#place(index);
    place.ending = true;
    await place.replica.kill();
  }

  /** Asks it to end. @returns its exit code, or the signal that ended it */
  stop(index: number): Promise<number | NodeJS.Signals> {
    const place = this.#place(index);
    place.ending = true;
    return place.replica.stop();
  }

  /** Starts a process where the one before has ended, under a new address as a new pod has; resolves when it is ready. */
  async replace(index: number): Promise<void> {
    this.#places[index] = await this.#launch(index, this.#place(index).starts + 1);
  }

  /** Asks every replica to end, where one was started. */
  stopAll(): Promise<(number | NodeJS.Signals)[]> {
    return Promise.all(Object.keys(this.#places).map((index) => this.stop(Number(index))));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopAll();
  }

  #place(index: number): Place {
    const place = this.#places[index];
    if (place === undefined) throw new RangeError(`there is no replica ${index}`);
    return place;
  }

  async #launch(index: number, starts: number): Promise<Place> {
    const { settings, folder } = this.#options;
    const name = `replica ${index}`;
    const replica = await startReplica({
      name,
      port: await freePort(),
      opsPort: await freePort(),
      settings: { ...settings, EDS_PAYLOAD_LAYOUT: layouts[(index + starts) % layouts.length] ?? 'object' },
      log: { file: join(folder, `replica-${index}.log`) },
    });
    const place = { replica, starts, ending: false };
    void replica.exited.then((end) => {
      if (!place.ending) this.crashes.push(`${name} ended by itself: ${end}`);
    });
    return place;
  }
}
