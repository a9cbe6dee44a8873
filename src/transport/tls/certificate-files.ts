import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { type PemText, problem } from './pem.ts';

/** Paths to PEM files, as the flags give them. */
export type CertificateFiles = {
  readonly certFile: string;
  readonly keyFile: string;
  readonly clientCaFile?: string | undefined;
  readonly crlFile?: string | undefined;
};

/** What the files held when they were read, one after the other: two of them may be of before and after a change. */
export type PemTexts = {
  readonly cert: PemText;
  readonly key: PemText;
  readonly clientCa: PemText | undefined;
  readonly crl: PemText | undefined;
};

/** Room for a revocation list of a quarter of a million entries; the other files have some kilobytes. */
const fileBytesMax = 16 * 1024 * 1024;

/** @returns the texts, or for each file that cannot be read a line that says why */
export async function readCertificateFiles(
  files: CertificateFiles,
): Promise<PemTexts | { readonly problems: string[] }> {
  const problems: string[] = [];
  const read = async (flag: string, file: string): Promise<PemText> => {
    const source = { flag, file };
    const text = await readText(file).catch((error: NodeJS.ErrnoException) => {
      problems.push(problem(source, error.code === 'ENOENT' ? 'there is no such file' : error.message));
      return '';
    });
    return { ...source, text };
  };
  const texts = {
    cert: await read('--tls-cert', files.certFile),
    key: await read('--tls-key', files.keyFile),
    clientCa: files.clientCaFile === undefined ? undefined : await read('--tls-client-ca', files.clientCaFile),
    crl: files.crlFile === undefined ? undefined : await read('--tls-client-crl', files.crlFile),
  };
  return problems.length > 0 ? { problems } : texts;
}

/** Tells contents apart without keeping a key's bytes. */
export function digestOf(texts: readonly (PemText | undefined)[]): string {
  const hash = createHash('sha256');
  // A length in front of each, so that no two different lists give the same bytes.
  for (const one of texts) hash.update(one === undefined ? '-' : `${one.text.length}:${one.text}`);
  return hash.digest('hex');
}

async function readText(file: string): Promise<string> {
  await using handle = await open(file, 'r');
  const { size } = await statRegular(handle);
  if (size > fileBytesMax) throw new Error(`larger than ${fileBytesMax} bytes: is it the right file?`);
  return await handle.readFile('utf8');
}

/** A pipe or a device would keep a reader waiting for ever. */
async function statRegular(handle: FileHandle) {
  const stat = await handle.stat();
  if (!stat.isFile()) throw new Error('not a regular file');
  return stat;
}
