import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Batcher } from '../ingest/batcher.ts';
import { syncFolder } from './durable-file.ts';

/** A folder that exists durably. */
export type DurableFolder = {
  /** Resolves once the names that were in the folder before the call are durable. */
  sync(): Promise<void>;
};

/** Few hundred bytes each; a folder that is forgotten costs a few system calls when it is used again. */
const foldersMax = 4096;

/**
 * The folders below `root`, made durable from the top down when first used in this process: one that is found may have
 * been made by a process that died before its parent was synced. Puts that wait for the same folder share one fsync.
 */
export class DurableFolders {
  readonly #root: string;
  readonly #folders = new Map<string, Promise<DurableFolder>>();

  /** @param root absolute */
  constructor(root: string) {
    this.#root = root;
  }

  get(path: string): Promise<DurableFolder> {
    const known = this.#folders.get(path);
    if (known !== undefined) return known;
    const made = this.#make(path);
    made.catch(() => this.#folders.delete(path));
    this.#folders.set(path, made);
    const [oldest] = this.#folders.keys();
    if (oldest !== undefined && this.#folders.size > foldersMax) this.#folders.delete(oldest);
    return made;
  }

  async #make(path: string): Promise<DurableFolder> {
    if (path === this.#root) {
      await makeRoot(path);
    } else {
      const parent = await this.get(dirname(path));
      await mkdir(path).catch(ignoreExisting);
      await parent.sync();
    }
    return sharedSync(path);
  }
}

/** One folder at a time: Node's recursive mkdir never ends where the parent exists and takes no folders, as /proc does. */
async function makeRoot(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT') throw error;
    await makeRoot(dirname(path));
    await mkdir(path).catch(ignoreExisting);
  }
  await syncFolder(dirname(path));
}

function sharedSync(path: string): DurableFolder {
  const batcher = new Batcher<undefined, undefined>({
    run: async (waiting) => {
      await syncFolder(path);
      return waiting.map(() => undefined);
    },
    defer: (task) => setImmediate(task),
    itemsMax: Infinity,
  });
  return { sync: () => batcher.add(undefined) };
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}
