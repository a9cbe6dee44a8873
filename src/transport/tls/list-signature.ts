import { constants, type KeyObject, type VerifyKeyObjectInput, verify } from 'node:crypto';
import { type DerElement, derElements, derOid } from './der.ts';

type Scheme = { readonly keyTypes: readonly string[]; readonly hash: string | undefined; readonly pss?: true };

const rsa = (hash: string): Scheme => ({ keyTypes: ['rsa'], hash });
const ecdsa = (hash: string): Scheme => ({ keyTypes: ['ec'], hash });

/** RFC 8017 appendix A.2.4, RFC 5758 section 3.2, RFC 8410 section 3. SHA-1 is broken, and its lists can be forged. */
const schemes: ReadonlyMap<string, Scheme> = new Map([
  ['1.2.840.113549.1.1.11', rsa('sha256')],
  ['1.2.840.113549.1.1.12', rsa('sha384')],
  ['1.2.840.113549.1.1.13', rsa('sha512')],
  ['1.2.840.10045.4.3.2', ecdsa('sha256')],
  ['1.2.840.10045.4.3.3', ecdsa('sha384')],
  ['1.2.840.10045.4.3.4', ecdsa('sha512')],
  ['1.3.101.112', { keyTypes: ['ed25519'], hash: undefined }],
]);

const pssOid = '1.2.840.113549.1.1.10';
/** RFC 4055 section 2.1. */
const pssHashes: ReadonlyMap<string, string> = new Map([
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
]);

/** For a message: what a list may be signed with. */
export const signatureSchemes = 'RSA, RSA-PSS or ECDSA with SHA-256, SHA-384 or SHA-512, or Ed25519';

/** What a signed structure of RFC 5280 says of itself (sections 4.1.1 and 5.1.1). */
export type ListSignature = {
  /** Dotted object identifier. */
  readonly algorithm: string;
  /** Undefined for an algorithm that is not taken. */
  readonly scheme: Scheme | undefined;
  readonly signed: Buffer;
  readonly signature: Buffer;
};

const tags = { bitString: 0x03, first: 0xa0 } as const;

/** @param fields of CertificateList: what is signed, algorithm, signature. @throws RangeError where they are not these */
export function parseListSignature([signed, algorithm, signature]: readonly DerElement[]): ListSignature {
  if (signed === undefined || algorithm === undefined || signature?.tag !== tags.bitString)
    throw new RangeError('not a signed list');
  const [oid, parameters] = derElements(algorithm.contents);
  // A signature is of whole bytes: how many bits of the last are unused comes first (X.690 section 8.6.2).
  if (oid === undefined || signature.contents[0] !== 0) throw new RangeError('not a signature');
  const name = derOid(oid);
  return {
    algorithm: name,
    scheme: name === pssOid ? pssScheme(parameters) : schemes.get(name),
    signed: signed.encoded,
    signature: signature.contents.subarray(1),
  };
}

/** A key of another type than the algorithm's is none of its signer, and OpenSSL would not take it either. */
export function isSignedBy({ scheme, signed, signature }: ListSignature, key: KeyObject): boolean {
  const { asymmetricKeyType: type } = key;
  if (scheme === undefined || type === undefined || !scheme.keyTypes.includes(type)) return false;
  const padding = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO };
  const input: VerifyKeyObjectInput = scheme.pss ? { key, ...padding } : { key };
  return verify(scheme.hash, signed, input, signature);
}

/** RFC 4055 section 3.1: the hash comes first, under the explicit tag [0]; left out, it is SHA-1. */
function pssScheme(parameters: DerElement | undefined): Scheme | undefined {
  const [tagged] = derElements(parameters?.contents ?? Buffer.alloc(0));
  const [algorithm] = tagged?.tag === tags.first ? derElements(tagged.contents) : [];
  const [oid] = algorithm ? derElements(algorithm.contents) : [];
  const hash = oid && pssHashes.get(derOid(oid));
  return hash === undefined ? undefined : { keyTypes: ['rsa', 'rsa-pss'], hash, pss: true };
}
