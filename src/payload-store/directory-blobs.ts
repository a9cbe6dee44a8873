import { randomUUID } from 'node:crypto';
import { constants, type Dirent } from 'node:fs';
import { access, type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { type PayloadLocation, Unavailable } from '../ingest/ports.ts';
import { type BlobDescription, type Blobs, type ListedBlob, PayloadMissing, type PutOutcome } from './blobs.ts';
import { link, unlink, writeDurably } from './durable-file.ts';
import { DurableFolders } from './durable-folders.ts';
import { encodeHead, type ObjectHead, readHead } from './object-file.ts';
import { keyOfEntry, pathOfKey } from './object-path.ts';

/** No name of an object begins with a dot. */
const temporaryFolder = '.tmp';
/** A put takes seconds at worst; what is older was left by a process that died. */
const temporaryAgeMaxMs = 60 * 60 * 1000;

/**
 * Objects as files below a directory. A put is written under a temporary name, synced, and given its own name by
 * link(), which fails when it is taken; then the folder is synced. A crash leaves a temporary file at most.
 */
export class DirectoryBlobs implements Blobs {
  readonly #root: string;
  readonly #folders: DurableFolders;

  private constructor(root: string) {
    this.#root = root;
    this.#folders = new DurableFolders(root);
  }

  /** For writing: makes the directory where there is none, and removes what a dead process left in it. */
  static async open(directory: string): Promise<DirectoryBlobs> {
    const blobs = new DirectoryBlobs(resolve(directory));
    await blobs.#guard('open the store', async () => {
      await blobs.#folders.get(join(blobs.#root, temporaryFolder));
      await blobs.#removeLeftovers();
    });
    return blobs;
  }

  /** For reading: changes nothing. Undefined when there is no such directory. */
  static async find(directory: string): Promise<DirectoryBlobs | undefined> {
    const blobs = new DirectoryBlobs(resolve(directory));
    const found = await blobs.#guard('open the store', () => stat(blobs.#root).catch(ignoreMissing));
    return found?.isDirectory() ? blobs : undefined;
  }

  putOnce(key: string, content: Buffer, record: Buffer | undefined): Promise<PutOutcome> {
    return this.#guard(`put ${key}`, async () => {
      const path = this.#path(key);
      const temporary = join(this.#root, temporaryFolder, randomUUID());
      const folder = await this.#folders.get(dirname(path));
      let outcome: PutOutcome;
      try {
        await writeDurably(temporary, [encodeHead(key, record), content]);
        outcome = await linkOnce(temporary, path);
      } catch (error) {
        await removeTemporary(temporary);
        throw error;
      }
      // For a taken name too: the one who took it may have died before it was durable.
      await Promise.all([folder.sync(), removeTemporary(temporary)]);
      return outcome;
    });
  }

  read({ objectKey, offset, bytes }: PayloadLocation): Promise<Buffer> {
    return this.#withObject(objectKey, async (file, head) => {
      const start = offset ?? 0;
      if (offset === undefined ? head.bytes !== bytes : head.bytes < start + bytes)
        throw new PayloadMissing(`${objectKey} has ${head.bytes} bytes, not ${bytes} at ${start}`);
      const content = Buffer.allocUnsafe(bytes);
      for (let at = 0; at < bytes; ) {
        const { bytesRead } = await file.read(content, at, bytes - at, head.contentStart + start + at);
        if (bytesRead === 0) throw new PayloadMissing(`${objectKey} ends at byte ${start + at} of its content`);
        at += bytesRead;
      }
      return content;
    });
  }

  describe(key: string): Promise<BlobDescription> {
    return this.#withObject(key, async (_, { bytes, record }) => ({ bytes, record }));
  }

  /** Holds the names of one folder, and of those above it, at a time. */
  list(signal: AbortSignal): AsyncIterable<ListedBlob> {
    return this.#walk(this.#root, '', signal);
  }

  async *#walk(folder: string, prefix: string, signal: AbortSignal): AsyncGenerator<ListedBlob> {
    signal.throwIfAborted();
    const entries = await this.#guard(`list ${folder}`, () => readdir(folder, { withFileTypes: true }));
    for (const { entry, key } of inKeyOrder(entries, prefix)) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) yield* this.#walk(path, key, signal);
      else {
        const head = await this.#guard(`list ${path}`, () => headOf(path));
        if (head !== undefined) yield { key: head.key, bytes: head.bytes };
      }
    }
  }

  check(): Promise<void> {
    return this.#guard('write', () => access(join(this.#root, temporaryFolder), constants.W_OK | constants.X_OK));
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #path(key: string): string {
    return join(this.#root, pathOfKey(key));
  }

  #withObject<T>(key: string, use: (file: FileHandle, head: ObjectHead) => Promise<T>): Promise<T> {
    return this.#guard(`read ${key}`, async () => {
      const file = await open(this.#path(key), 'r').catch((error: NodeJS.ErrnoException) => {
        throw error.code === 'ENOENT' ? new PayloadMissing(`there is no object ${key} in ${this.#root}`) : error;
      });
      await using _ = file;
      const head = await readHead(file);
      // Where file names differ in case only, one key's file can be found under the other.
      if (head?.key !== key) throw new PayloadMissing(`the file of ${key} in ${this.#root} does not hold it`);
      return await use(file, head);
    });
  }

  async #removeLeftovers(): Promise<void> {
    const folder = join(this.#root, temporaryFolder);
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Infinity }));
      if (Date.now() - mtimeMs > temporaryAgeMaxMs) await removeTemporary(path);
    }
  }

  async #guard<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof PayloadMissing || !(error instanceof Error)) throw error;
      throw new Unavailable('payload_store', `cannot ${what} in ${this.#root}: ${error.message}`, { cause: error });
    }
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
}

async function linkOnce(from: string, to: string): Promise<PutOutcome> {
  try {
    await link(from, to);
    return 'created';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return 'taken';
    throw error;
  }
}

async function headOf(path: string): Promise<ObjectHead | undefined> {
  await using file = await open(path, 'r');
  return await readHead(file);
}

function inKeyOrder(entries: readonly Dirent[], prefix: string): { entry: Dirent; key: string }[] {
  const keyed = [];
  for (const entry of entries) {
    const part = entry.name.startsWith('.') ? undefined : keyOfEntry(entry.name, entry.isDirectory());
    if (part !== undefined) keyed.push({ entry, key: prefix + part });
  }
  return keyed.sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** One that cannot be removed does no harm: nobody sees it, and a later opening tries again. */
async function removeTemporary(path: string): Promise<void> {
  await unlink(path).catch(() => undefined);
}
