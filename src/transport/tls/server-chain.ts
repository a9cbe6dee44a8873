import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto';
import { type PemText, parseCertificates, problem } from './pem.ts';

export type ServerChain = {
  readonly leaf: X509Certificate;
  /** As of the first certificate in the chain to expire: from then on, clients that check refuse it. */
  readonly expiresAtMs: number;
};

/** NIST SP 800-131A, and the least that OpenSSL's default security level takes. */
const rsaBitsMin = 2048;
/** Those of Mozilla's intermediate profile. */
const curves: ReadonlySet<unknown> = new Set(['prime256v1', 'secp384r1']);
/** RFC 5280 section 4.2.1.12: extended key usages under which a certificate may be a server's. */
const serverUsages: readonly string[] = ['1.3.6.1.5.5.7.3.1', '2.5.29.37.0'];

/** Everything wrong with the pair goes to `problems`. @returns undefined when something is */
export function parseServerChain(
  cert: PemText,
  key: PemText,
  nowMs: number,
  problems: string[],
): ServerChain | undefined {
  const before = problems.length;
  const chain = parseCertificates(cert, problems);
  const privateKey = parsePrivateKey(key, problems);
  const [leaf] = chain;
  if (leaf === undefined) return undefined;
  if (privateKey !== undefined) problems.push(...pairProblems(chain, privateKey).map((text) => problem(cert, text)));
  problems.push(...chainProblems(chain, nowMs).map((text) => problem(cert, text)));
  if (leaf.keyUsage !== undefined && !leaf.keyUsage.some((usage) => serverUsages.includes(usage)))
    problems.push(problem(cert, 'its extended key usage is not for servers: have it issued with serverAuth'));
  if (problems.length > before) return undefined;
  return { leaf, expiresAtMs: Math.min(...chain.map((one) => one.validToDate.getTime())) };
}

function parsePrivateKey(source: PemText, problems: string[]): KeyObject | undefined {
  const { text, file } = source;
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(text)) {
    const wayOut = `write it decrypted with: openssl pkey -in ${file} -out FILE`;
    problems.push(
      problem(source, `the key is encrypted, and at start nobody is there to type a passphrase: ${wayOut}`),
    );
    return undefined;
  }
  try {
    const key = createPrivateKey(text);
    const weakness = weaknessOf(key);
    if (weakness !== undefined) problems.push(problem(source, weakness));
    return key;
  } catch {
    // OpenSSL's own words may quote what it read.
    problems.push(problem(source, 'holds no private key in PEM form that parses (-----BEGIN PRIVATE KEY-----)'));
    return undefined;
  }
}

/** Ed25519 is taken although browsers do not speak it: devices do, and it is what they sign records with. */
function weaknessOf({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): string | undefined {
  const wayOut = `make one of RSA with ${rsaBitsMin} bits, ECDSA on P-256 or P-384, or Ed25519`;
  if (type === 'ed25519') return undefined;
  if (type === 'rsa' && (details?.modulusLength ?? 0) < rsaBitsMin)
    return `an RSA key of ${details?.modulusLength} bits is too weak: ${wayOut}`;
  if (type === 'rsa') return undefined;
  if (type === 'ec' && curves.has(details?.namedCurve)) return undefined;
  return `a key of type ${[type, details?.namedCurve].filter(Boolean).join(' ')} is not served: ${wayOut}`;
}

/** RFC 5246 section 7.4.2: the server's own certificate comes first. */
function pairProblems(chain: readonly X509Certificate[], key: KeyObject): string[] {
  const place = chain.findIndex((one) => one.checkPrivateKey(key));
  if (place === 0) return [];
  if (place < 0) return ['the certificate and the key of --tls-key do not belong together'];
  return [`the key belongs to certificate ${place + 1}: put the server's own first, then its issuers`];
}

function chainProblems(chain: readonly X509Certificate[], nowMs: number): string[] {
  return chain.flatMap((certificate, index) => {
    const name = chain.length === 1 ? 'the certificate' : `certificate ${index + 1}`;
    const issuer = chain[index + 1];
    return [
      ...(nowMs >= certificate.validToDate.getTime()
        ? [`${name} has expired on ${certificate.validToDate.toISOString()}: renew it`]
        : []),
      ...(nowMs < certificate.validFromDate.getTime()
        ? [`${name} is valid only from ${certificate.validFromDate.toISOString()}: is the clock right?`]
        : []),
      ...(issuer !== undefined && !isIssuedBy(certificate, issuer)
        ? [`certificate ${index + 2} did not issue the one before it: each is followed by its issuer, or by nothing`]
        : []),
    ];
  });
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
