import type { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { derElements, derTimeMs, isDerTime } from './der.ts';
import { isSignedBy, type ListSignature, parseListSignature, signatureSchemes } from './list-signature.ts';
import { type PemText, pemBlocks, problem } from './pem.ts';

/** A certificate revocation list: RFC 5280 section 5. */
export type RevocationList = {
  readonly pem: string;
  /** The issuer's name as DER, in hex. */
  readonly issuer: string;
  readonly thisUpdateMs: number;
};

/**
 * The lists of a PEM file. One that is not in force or not its authority's own is refused, and so is an authority without a
 * list: OpenSSL would turn away every client under it, and a replica that is told so keeps the lists it has.
 */
export function parseRevocationLists(
  source: PemText,
  authorities: readonly X509Certificate[],
  nowMs: number,
  problems: string[],
): readonly RevocationList[] {
  const blocks = pemBlocks(source.text, 'X509 CRL');
  const before = problems.length;
  if (blocks.length === 0)
    problems.push(problem(source, 'holds no revocation list in PEM form (-----BEGIN X509 CRL-----)'));
  const lists = blocks.flatMap((pem, index) => {
    const list = parseList(pem);
    const text = list === undefined ? 'does not parse: was the file cut short?' : listProblem(list, authorities, nowMs);
    if (text !== undefined) problems.push(problem(source, `list ${index + 1} ${text}`));
    return list ?? [];
  });
  if (problems.length > before) return lists;
  for (const authority of authorities) {
    if (!lists.some((list) => isIssuedBy(list, authority)))
      problems.push(problem(source, `has no list of ${nameOf(authority)}: every CA of --tls-client-ca needs its own`));
  }
  return lists;
}

/** What OpenSSL would only say to each client: that it has no list to judge it by. */
function listProblem(list: ParsedList, authorities: readonly X509Certificate[], nowMs: number): string | undefined {
  const { thisUpdateMs, nextUpdateMs, signature } = list;
  if (nextUpdateMs !== undefined && nextUpdateMs <= nowMs)
    return `has expired on ${isoTime(nextUpdateMs)}: fetch the current one`;
  if (thisUpdateMs > nowMs) return `is valid only from ${isoTime(thisUpdateMs)}: is the clock right?`;
  if (signature.scheme === undefined)
    return `is signed with the algorithm ${signature.algorithm}: have it signed with ${signatureSchemes}`;
  // That of an intermediate CA is left to OpenSSL, which gets its certificate from the client.
  const [named, ...others] = authorities.filter((authority) => list.issuer === subjectOf(authority));
  if (named === undefined || [named, ...others].some((authority) => isIssuedBy(list, authority))) return undefined;
  return `is not signed with the key of ${nameOf(named)}: it was damaged, or another CA of this name has made it`;
}

function isIssuedBy({ issuer, signature }: ParsedList, authority: X509Certificate): boolean {
  return issuer === subjectOf(authority) && isSignedBy(signature, authority.publicKey);
}

/** The first list that is older than the one in use of the same issuer: it would take revocations back. */
export function olderList(
  lists: readonly RevocationList[],
  used: readonly RevocationList[],
): { readonly older: RevocationList; readonly newer: RevocationList } | undefined {
  for (const older of lists) {
    const newer = used.find(({ issuer, thisUpdateMs }) => issuer === older.issuer && thisUpdateMs > older.thisUpdateMs);
    if (newer !== undefined) return { older, newer };
  }
  return undefined;
}

type ParsedList = RevocationList & {
  readonly nextUpdateMs: number | undefined;
  readonly signature: ListSignature;
};

const tags = { integer: 0x02, sequence: 0x30 } as const;

/** Node tells nothing of a list. RFC 5280 section 5.1: version, algorithm, issuer, thisUpdate, nextUpdate, entries. */
function parseList(pem: string): ParsedList | undefined {
  try {
    createSecureContext({ crl: pem });
    const der = Buffer.from(pem.replaceAll(/-----[^-]*-----|\s/g, ''), 'base64');
    const signed = derElements(inner(der));
    const fields = derElements(inner(inner(der)));
    if (fields[0]?.tag === tags.integer) fields.shift();
    const [algorithm, issuer, thisUpdate, nextUpdate] = fields;
    const thisUpdateMs = thisUpdate && derTimeMs(thisUpdate);
    if (issuer === undefined || thisUpdateMs === undefined) return undefined;
    // Section 5.1.1.2: the algorithm is named inside what is signed as well.
    if (!signed[1] || !algorithm?.encoded.equals(signed[1].encoded)) return undefined;
    // Left out, the entries are in its place.
    const nextUpdateMs = nextUpdate && derTimeMs(nextUpdate);
    if (nextUpdate && isDerTime(nextUpdate) && nextUpdateMs === undefined) return undefined;
    const signature = parseListSignature(signed);
    return { pem, issuer: issuer.encoded.toString('hex'), thisUpdateMs, nextUpdateMs, signature };
  } catch {
    return undefined; // Not base64 of DER of a list, as OpenSSL or we read it.
  }
}

/** RFC 5280 section 4.1: the subject of a version 3 certificate, which is the only one with basicConstraints. */
function subjectOf({ raw }: X509Certificate): string | undefined {
  const subjectPlace = 5;
  return derElements(inner(inner(raw)))[subjectPlace]?.encoded.toString('hex');
}

function inner(der: Buffer): Buffer {
  const [first] = derElements(der);
  if (first?.tag !== tags.sequence) throw new RangeError('not a sequence');
  return first.contents;
}

const nameOf = ({ subject }: X509Certificate) => subject.replaceAll('\n', ', ');

const isoTime = (ms: number) => new Date(ms).toISOString();
