import { type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';

export type FileWatchTimes = {
  /** A look at the files however quiet the system is: some file systems, NFS among them, tell of no changes. */
  readonly pollMs: number;
  /** From the first sign of a change to the look: files that belong together are written one after the other. */
  readonly settleMs: number;
};

/**
 * Calls `look` soon after anything changes in the folders of `files`, and every `pollMs`; never twice within `settleMs`.
 * The folders and not the files are watched, because files are replaced: Kubernetes swaps the `..data` link beside them,
 * certbot swaps the links themselves.
 */
export class FileWatch implements Disposable {
  readonly #look: () => void;
  readonly #settleMs: number;
  readonly #watchers: readonly FSWatcher[];
  readonly #poll: NodeJS.Timeout;
  #due: NodeJS.Timeout | undefined;

  constructor(files: readonly string[], { pollMs, settleMs }: FileWatchTimes, look: () => void) {
    this.#look = look;
    this.#settleMs = settleMs;
    this.#watchers = [...new Set(files.map((file) => dirname(file)))].flatMap((folder) => this.#watch(folder));
    this.#poll = setInterval(() => this.lookSoon(), pollMs);
  }

  /** After `settleMs`, unless a look is due before that. */
  lookSoon(): void {
    this.#due ??= setTimeout(() => {
      this.#due = undefined;
      this.#look();
    }, this.#settleMs);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#poll);
    clearTimeout(this.#due);
    for (const watcher of this.#watchers) watcher.close();
  }

  /** Nothing where the system has no watcher to give, or takes it away: the poll still finds every change. */
  #watch(folder: string): FSWatcher[] {
    try {
      const watcher = watch(folder, () => this.lookSoon());
      watcher.on('error', () => watcher.close());
      return [watcher];
    } catch {
      return [];
    }
  }
}
