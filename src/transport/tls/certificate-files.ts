import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { type PemText, problem } from './pem.ts';

/** Paths to PEM files, as the flags give them. */
export type CertificateFiles = {
  readonly certFile: string;
  readonly keyFile: string;
  readonly clientCaFile?: string | undefined;
  readonly crlFile?: string | undefined;
};

/**
 * What the files held when they were read, one after the other: two of them may be of before and after a change. Who the
 * server is and whom it trusts are read apart, because neither has to wait for the other.
 */
export type PairTexts = { readonly cert: PemText; readonly key: PemText };
export type TrustTexts = { readonly clientCa: PemText | undefined; readonly crl: PemText | undefined };

/** Room for a revocation list of a quarter of a million entries; the other files have some kilobytes. */
const fileBytesMax = 16 * 1024 * 1024;

/** The texts, or for each file that cannot be read a line that says why. */
type Read<T> = { readonly texts: T } | { readonly problems: readonly string[] };

export function readPairTexts({ certFile, keyFile }: CertificateFiles): Promise<Read<PairTexts>> {
  return collectProblems(async (read) => ({
    cert: await read('--tls-cert', certFile),
    key: await read('--tls-key', keyFile),
  }));
}

export function readTrustTexts({ clientCaFile, crlFile }: CertificateFiles): Promise<Read<TrustTexts>> {
  return collectProblems(async (read) => ({
    clientCa: clientCaFile === undefined ? undefined : await read('--tls-client-ca', clientCaFile),
    crl: crlFile === undefined ? undefined : await read('--tls-client-crl', crlFile),
  }));
}

async function collectProblems<T>(
  readAll: (read: (flag: string, file: string) => Promise<PemText>) => Promise<T>,
): Promise<Read<T>> {
  const problems: string[] = [];
  const texts = await readAll(async (flag, file) => {
    const source = { flag, file };
    const text = await readText(file).catch((error: NodeJS.ErrnoException) => {
      problems.push(problem(source, error.code === 'ENOENT' ? 'there is no such file' : error.message));
      return '';
    });
    return { ...source, text };
  });
  return problems.length > 0 ? { problems } : { texts };
}

/** Tells contents apart without keeping a key's bytes. */
export function digestOf(texts: readonly (PemText | undefined)[]): string {
  const hash = createHash('sha256');
  // A length in front of each, so that no two different lists give the same bytes.
  for (const one of texts) hash.update(one === undefined ? '-' : `${one.text.length}:${one.text}`);
  return hash.digest('hex');
}

async function readText(file: string): Promise<string> {
  // A pipe without a writer would keep the opening itself waiting, out of reach of any signal: open(2), O_NONBLOCK.
  await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  const stat = await handle.stat();
  if (!stat.isFile()) throw new Error('not a regular file');
  if (stat.size > fileBytesMax) throw new Error(`larger than ${fileBytesMax} bytes: is it the right file?`);
  return await handle.readFile('utf8');
}
