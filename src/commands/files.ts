import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { addAbortSignal, type Readable } from 'node:stream';
import { Failure, type Io } from './command.ts';

/** Of one input read whole, such as a payload: beyond what any ingest would take. */
export const wholeInputBytesMax = 256 * 1024 * 1024;
/** Enough for hundreds of records a read, so that batches are worth their request. */
const readBytes = 1024 * 1024;
/** A line longer than this is not a record: a payload of 16 MiB in hexadecimal and change. */
const lineBytesMax = 34 * 1024 * 1024;

const secretMode = 0o600;
const publicMode = 0o644;
const newline = 0x0a;
const space = 0x20;

/** The bytes of a file, or of standard input for `-`. @throws Failure naming `flag` */
export async function readInput(path: string, flag: string, io: Io, bytesMax = wholeInputBytesMax): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of await openInput(path, flag, io)) {
    bytes += part.length;
    if (bytes > bytesMax) throw new Failure(`${flag}: '${path}' has more than ${bytesMax} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

export async function openInput(path: string, flag: string, io: Io): Promise<AsyncIterable<Buffer>> {
  if (path === '-') return chunks(io.stdin, io.signal);
  const handle = await openFile(path, constants.O_RDONLY, undefined, flag, 'read');
  if ((await handle.stat()).isDirectory()) {
    await handle.close();
    throw new Failure(`${flag}: cannot read '${path}': it is a directory`);
  }
  return chunks(handle.createReadStream({ highWaterMark: readBytes }), io.signal);
}

/** The stream's bytes; ends with the signal's error while it waits for more. */
function chunks(stream: Readable, signal: AbortSignal): AsyncIterable<Buffer> {
  return addAbortSignal(signal, stream);
}

/**
 * Lines without their newline, in groups that arrived together: nothing waits for a fuller group, so a slow source is
 * followed live and memory holds one read and one line. A last line needs no newline.
 * @throws Failure for a line longer than any record
 */
export async function* readLines(input: AsyncIterable<Buffer>, flag: string): AsyncGenerator<Buffer[]> {
  let open: Buffer[] = [];
  let openBytes = 0;
  for await (const chunk of input) {
    const lines: Buffer[] = [];
    let from = 0;
    for (let at = chunk.indexOf(newline); at >= 0; at = chunk.indexOf(newline, from)) {
      lines.push(Buffer.concat([...open, chunk.subarray(from, at)]));
      open = [];
      openBytes = 0;
      from = at + 1;
    }
    open.push(chunk.subarray(from));
    openBytes += chunk.length - from;
    if (openBytes > lineBytesMax) throw new Failure(`${flag}: a line has more than ${lineBytesMax} bytes`);
    if (lines.length > 0) yield lines;
  }
  if (openBytes > 0) yield [Buffer.concat(open)];
}

/** Whether a line has nothing but white space. */
export function isBlank(line: Buffer): boolean {
  return line.every((byte) => byte <= space);
}

export type OutputFile = {
  readonly path: string;
  readonly flag: string;
  /** Whether an existing file may be replaced. */
  readonly force: boolean;
  /** A private key: for the owner's eyes alone. */
  readonly secret?: boolean;
};

/** @throws Failure when the file exists and `force` is not given, or it cannot be written */
export async function writeOutput(text: string, { path, flag, force, secret = false }: OutputFile): Promise<void> {
  const mode = secret ? secretMode : publicMode;
  const replace = force ? constants.O_TRUNC : constants.O_EXCL;
  await using handle = await openFile(path, constants.O_WRONLY | constants.O_CREAT | replace, mode, flag, 'write');
  // The mode above counts for a new file only. Devices such as /dev/stdout are not ours to change.
  if (secret && (await handle.stat()).isFile()) await handle.chmod(secretMode);
  await handle.writeFile(text);
}

async function openFile(
  path: string,
  flags: number,
  mode: number | undefined,
  flag: string,
  verb: string,
): Promise<FileHandle> {
  try {
    return await open(path, flags, mode);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code === 'EEXIST')
      throw new Failure(`${flag}: '${path}' exists already: choose another name, or replace it with --force`);
    throw new Failure(`${flag}: cannot ${verb} '${path}': ${reasons[code] ?? code}`, { cause: error });
  }
}

const reasons: Record<string, string | undefined> = {
  ENOENT: 'no such file or folder',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
  ENOSPC: 'no space left',
};
