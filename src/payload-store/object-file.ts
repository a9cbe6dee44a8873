import type { FileHandle } from 'node:fs/promises';
import type { BlobDescription } from './blobs.ts';

/**
 * An object as one file, so that a single link() makes content and record visible together: a line of text with the key
 * and the record, then the content. `tail -n +2` prints the content.
 */
export type ObjectHead = BlobDescription & { readonly key: string; readonly contentStart: number };

const magic = 'edgesentry-object-1 ';
const lineFeed = 0x0a;
/** Above the longest line: a key of 1024 bytes in JSON and a record of 1.9 KB. */
const headBytesMax = 8192;

/** What stands in front of the content. */
export function encodeHead(key: string, record: Buffer | undefined): Buffer {
  const head = JSON.stringify({ key, record: record?.toString('base64url') });
  return Buffer.from(`${magic}${head}\n`);
}

/** Undefined when the file is none of ours. */
export async function readHead(file: FileHandle): Promise<ObjectHead | undefined> {
  const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(headBytesMax), 0, headBytesMax, 0);
  const end = buffer.subarray(0, bytesRead).indexOf(lineFeed);
  const line = buffer.toString('utf8', 0, Math.max(0, end));
  if (!line.startsWith(magic)) return undefined;
  const head = parsedHead(line.slice(magic.length));
  if (head === undefined) return undefined;
  const { size } = await file.stat();
  const record = head.record === undefined ? undefined : Buffer.from(head.record, 'base64url');
  return { key: head.key, record, bytes: size - end - 1, contentStart: end + 1 };
}

/** Undefined for a line that somebody has changed. */
function parsedHead(text: string): { key: string; record?: string } | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
