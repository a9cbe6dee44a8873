import type { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { derElements, derTimeMs } from './der.ts';
import { type PemText, pemBlocks, problem } from './pem.ts';

/** A certificate revocation list: RFC 5280 section 5. */
export type RevocationList = {
  readonly pem: string;
  /** The issuer's name as DER, in hex. */
  readonly issuer: string;
  readonly thisUpdateMs: number;
};

/**
 * The lists of a PEM file. One that has expired is refused, and so is an authority without a list: OpenSSL would turn away
 * every client under it, and a replica that is told so keeps the lists it has.
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
    if (list === undefined) problems.push(problem(source, `list ${index + 1} does not parse: was the file cut short?`));
    else if (list.nextUpdateMs !== undefined && list.nextUpdateMs <= nowMs) {
      const text = `list ${index + 1} has expired on ${new Date(list.nextUpdateMs).toISOString()}: fetch the current one`;
      problems.push(problem(source, text));
    }
    return list ?? [];
  });
  if (problems.length > before) return lists;
  for (const authority of authorities) {
    if (!lists.some(({ issuer }) => issuer === subjectOf(authority)))
      problems.push(problem(source, `has no list of ${nameOf(authority)}: every CA of --tls-client-ca needs its own`));
  }
  return lists;
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

type ParsedList = RevocationList & { readonly nextUpdateMs: number | undefined };

const tags = { integer: 0x02, sequence: 0x30 } as const;

/** Node tells nothing of a list. RFC 5280 section 5.1: version, algorithm, issuer, thisUpdate, nextUpdate, entries. */
function parseList(pem: string): ParsedList | undefined {
  try {
    createSecureContext({ crl: pem });
    const der = Buffer.from(pem.replaceAll(/-----[^-]*-----|\s/g, ''), 'base64');
    const fields = derElements(inner(inner(der)));
    if (fields[0]?.tag === tags.integer) fields.shift();
    const [, issuer, thisUpdate, nextUpdate] = fields;
    const thisUpdateMs = thisUpdate && derTimeMs(thisUpdate);
    if (issuer === undefined || thisUpdateMs === undefined) return undefined;
    // Left out, the entries are in its place.
    const nextUpdateMs = nextUpdate && derTimeMs(nextUpdate);
    return { pem, issuer: issuer.encoded.toString('hex'), thisUpdateMs, nextUpdateMs };
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
