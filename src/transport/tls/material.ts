import type { X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { digestOf, type PemTexts } from './certificate-files.ts';
import { type PemText, parseCertificates, problem } from './pem.ts';
import { olderList, parseRevocationLists, type RevocationList } from './revocation-lists.ts';
import { parseServerChain, type ServerChain } from './server-chain.ts';

/** What a listener needs to know of its certificates. Its options hold the private key: never log one. */
export type TlsMaterial = {
  /** `cert` and `key`; `ca` and `crl` where clients present certificates. */
  readonly options: Readonly<SecureContextOptions>;
  /** Upper-case hex, of the server's own certificate. */
  readonly serial: string;
  readonly notBeforeMs: number;
  /** Of the first certificate in the presented chain to expire. */
  readonly expiresAtMs: number;
  readonly revocationLists: readonly RevocationList[];
  /** Of all that was read, and of what clients are judged by alone. */
  readonly digest: string;
  readonly trustDigest: string;
};

export type Refused = { readonly problems: readonly string[] };

/**
 * Whether these files can be served with, and if not, everything that is wrong with them.
 * @param current what is served now, which nothing older may replace
 */
export function parseMaterial(texts: PemTexts, nowMs: number, current?: TlsMaterial): TlsMaterial | Refused {
  const { cert, key, clientCa, crl } = texts;
  const problems: string[] = [];
  const chain = parseServerChain(cert, key, nowMs, problems);
  const authorities = clientCa === undefined ? [] : parseAuthorities(clientCa, nowMs, problems);
  const lists = crl === undefined ? [] : parseRevocationLists(crl, authorities, nowMs, problems);
  if (current !== undefined) {
    if (chain !== undefined) problems.push(...olderChainProblems(cert, chain, current));
    if (crl !== undefined) problems.push(...olderListProblems(crl, lists, current));
  }
  if (chain === undefined || problems.length > 0) return { problems };

  const options = {
    cert: cert.text,
    key: key.text,
    ...(clientCa && { ca: clientCa.text }),
    // Each on its own: Node reads one list from each text, and would pass over the others of a file.
    ...(crl && { crl: lists.map(({ pem }) => pem) }),
  };
  const rest = contextProblem(options);
  if (rest !== undefined) return { problems: [problem(cert, rest)] };
  return {
    options,
    serial: chain.leaf.serialNumber,
    notBeforeMs: chain.leaf.validFromDate.getTime(),
    expiresAtMs: chain.expiresAtMs,
    revocationLists: lists,
    digest: contentDigest(texts),
    trustDigest: digestOf([clientCa, crl]),
  };
}

export function contentDigest({ cert, key, clientCa, crl }: PemTexts): string {
  return digestOf([cert, key, clientCa, crl]);
}

/** Those in force: one that has expired does no harm beside its successor. */
function parseAuthorities(source: PemText, nowMs: number, problems: string[]): readonly X509Certificate[] {
  const before = problems.length;
  const authorities = parseCertificates(source, problems).filter((one) => one.ca);
  const inForce = authorities.filter((one) => nowMs < one.validToDate.getTime());
  if (problems.length > before || inForce.length > 0) return inForce;
  const text =
    authorities.length === 0
      ? 'holds no certificate of an authority (basicConstraints CA)'
      : 'every authority in it has expired';
  problems.push(problem(source, `${text}: no client could pass`));
  return inForce;
}

const putBack = 'was an earlier one put back? A restart takes it all the same';

function olderChainProblems(cert: PemText, { leaf }: ServerChain, current: TlsMaterial): string[] {
  const notBeforeMs = leaf.validFromDate.getTime();
  if (notBeforeMs >= current.notBeforeMs) return [];
  const [from, used] = [isoTime(notBeforeMs), isoTime(current.notBeforeMs)];
  return [problem(cert, `valid from ${from}, older than the one in use (from ${used}): ${putBack}`)];
}

function olderListProblems(crl: PemText, lists: readonly RevocationList[], current: TlsMaterial): string[] {
  const found = olderList(lists, current.revocationLists);
  if (found === undefined) return [];
  const [from, used] = [isoTime(found.older.thisUpdateMs), isoTime(found.newer.thisUpdateMs)];
  return [problem(crl, `a list of ${from} is older than the one in use (of ${used}): ${putBack}`)];
}

const isoTime = (ms: number) => new Date(ms).toISOString();

/** What only OpenSSL knows. */
function contextProblem(options: SecureContextOptions): string | undefined {
  try {
    createSecureContext(options);
    return undefined;
  } catch (error) {
    return `OpenSSL refuses it: ${(error as NodeJS.ErrnoException).code ?? (error as Error).message}`;
  }
}
