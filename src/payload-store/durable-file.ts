import fs from 'node:fs';
import { promisify } from 'node:util';

/**
 * The file operations of a put, on plain descriptors: on this path Node's FileHandle costs a fifth to a third of the
 * throughput (measured: 2.2 against 3.4 thousand puts a second, 32 at once).
 */
const [open, writev, fsync, close] = [fs.open, fs.writev, fs.fsync, fs.close].map((call) => promisify(call)) as [
  (path: string, flags: string) => Promise<number>,
  (fd: number, parts: readonly Buffer[]) => Promise<{ bytesWritten: number }>,
  (fd: number) => Promise<void>,
  (fd: number) => Promise<void>,
];
export const link = promisify(fs.link);
export const unlink = promisify(fs.unlink);

/** Makes a new file of the parts, durable when it resolves; its name is not until its folder is synced. Rejects when it exists. */
export async function writeDurably(path: string, parts: readonly Buffer[]): Promise<void> {
  const fd = await open(path, 'wx');
  try {
    const { bytesWritten } = await writev(fd, parts);
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    if (bytesWritten < bytes) throw new Error(`${bytesWritten} of ${bytes} bytes were written: the disk may be full`);
    await fsync(fd);
  } finally {
    await close(fd);
  }
}

/** Makes the names in the folder durable. */
export async function syncFolder(path: string): Promise<void> {
  const fd = await open(path, 'r');
  try {
    await fsync(fd);
  } finally {
    await close(fd);
  }
}
