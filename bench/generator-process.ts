import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** A load generator in a process of its own, with everything prepared: it says `ready`, waits for `go`, sends, reports. */
export class GeneratorProcess<Result> implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** @param file beside this one @param plan goes to it as JSON */
  static async start<Result>(file: string, plan: object): Promise<GeneratorProcess<Result>> {
    const generator = new GeneratorProcess<Result>(fork(join(import.meta.dirname, file), [JSON.stringify(plan)]));
    await generator.#message();
    return generator;
  }

  async run(): Promise<Result> {
    this.#child.send('go');
    return (await this.#message()) as Result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    // One that has reported ends by itself; one that was never told to go does not.
    if (this.#child.connected) this.#child.kill();
    await once(this.#child, 'exit');
  }

  /** Its next message. Rejects when it ends before. */
  async #message(): Promise<unknown> {
    const ended = once(this.#child, 'exit').then(([code]) => {
      throw new Error(`the load generator ended with exit code ${code}`);
    });
    ended.catch(() => {});
    const [received] = await Promise.race([once(this.#child, 'message'), ended]);
    return received;
  }
}
