import type { X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import type { PairTexts, TrustTexts } from './certificate-files.ts';
import { type PemText, parseCertificates, problem } from './pem.ts';
import { olderList, parseRevocationLists, type RevocationList } from './revocation-lists.ts';
import { parseServerChain, type ServerChain } from './server-chain.ts';

/** Who the server is. Its options hold the private key: never log one. */
export type ServerPair = {
  readonly options: Readonly<Pick<SecureContextOptions, 'cert' | 'key'>>;
  /** Upper-case hex, of the server's own certificate. */
  readonly serial: string;
  readonly notBeforeMs: number;
  /** Of the first certificate in the presented chain to expire. */
  readonly expiresAtMs: number;
};

/** What clients are judged by; its options are empty where they present no certificates. */
export type ClientTrust = {
  readonly options: Readonly<Pick<SecureContextOptions, 'ca' | 'crl'>>;
  readonly revocationLists: readonly RevocationList[];
};

export type Refused = { readonly problems: readonly string[] };

/**
 * Whether this certificate and key can be served with, and if not, everything that is wrong with them.
 * @param current what is served now, which nothing older may replace
 */
export function parseServerPair({ cert, key }: PairTexts, nowMs: number, current?: ServerPair): ServerPair | Refused {
  const problems: string[] = [];
  const chain = parseServerChain(cert, key, nowMs, problems);
  if (chain !== undefined && current !== undefined) problems.push(...olderChainProblems(cert, chain, current));
  if (chain === undefined || problems.length > 0) return { problems };
  const options = { cert: cert.text, key: key.text };
  const rest = contextProblem(options);
  if (rest !== undefined) return { problems: [problem(cert, rest)] };
  const { leaf, expiresAtMs } = chain;
  return { options, serial: leaf.serialNumber, notBeforeMs: leaf.validFromDate.getTime(), expiresAtMs };
}

/**
 * Whether clients can be judged by these, and if not, everything that is wrong with them.
 * @param current what they are judged by now, which no older list may replace
 */
export function parseClientTrust(
  { clientCa, crl }: TrustTexts,
  nowMs: number,
  current?: ClientTrust,
): ClientTrust | Refused {
  if (clientCa === undefined) return { options: {}, revocationLists: [] };
  const problems: string[] = [];
  const authorities = parseAuthorities(clientCa, nowMs, problems);
  const revocationLists = crl === undefined ? [] : parseRevocationLists(crl, authorities, nowMs, problems);
  if (crl !== undefined && current !== undefined) problems.push(...olderListProblems(crl, revocationLists, current));
  if (problems.length > 0) return { problems };
  // Each on its own: Node reads one list from each text, and would pass over the others of a file.
  const options = { ca: clientCa.text, ...(crl && { crl: revocationLists.map(({ pem }) => pem) }) };
  const rest = contextProblem(options);
  return rest === undefined ? { options, revocationLists } : { problems: [problem(clientCa, rest)] };
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

function olderChainProblems(cert: PemText, { leaf }: ServerChain, current: ServerPair): string[] {
  const notBeforeMs = leaf.validFromDate.getTime();
  if (notBeforeMs >= current.notBeforeMs) return [];
  const [from, used] = [isoTime(notBeforeMs), isoTime(current.notBeforeMs)];
  return [problem(cert, `valid from ${from}, older than the one in use (from ${used}): ${putBack}`)];
}

function olderListProblems(crl: PemText, lists: readonly RevocationList[], current: ClientTrust): string[] {
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
