/** Certificate authorities, certificates and revocation lists of the test's own, as PEM text. */
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto);

/** RSA keys of 2048 bits take a tenth of a second or more to make; the others no time. */
const keyAlgorithms = {
  p256: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  p384: { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
  p521: { name: 'ECDSA', namedCurve: 'P-521', hash: 'SHA-512' },
  ed25519: { name: 'Ed25519' },
  rsa1024: rsa(1024),
  rsa2048: rsa(2048),
} as const;
export type KeyType = keyof typeof keyAlgorithms;

export const hourMs = 60 * 60 * 1000;
const dayMs = 24 * hourMs;

export type Names = {
  readonly cn?: string;
  readonly dns?: readonly string[];
  readonly uri?: readonly string[];
  readonly ip?: readonly string[];
};

export type CertificateOptions = {
  readonly names: Names;
  /** Default: from an hour ago to a day from now. */
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** Extended key usage; left out of the certificate where undefined. */
  readonly usages?: readonly ('serverAuth' | 'clientAuth')[];
  /** Default: p256. */
  readonly keyType?: KeyType;
};

export type Issued = {
  /** PEM: the certificate, then its intermediates up to but without the root. */
  readonly cert: string;
  /** PEM, PKCS #8, not encrypted. */
  readonly key: string;
  /** Upper-case hex, as X509Certificate.serialNumber has it. */
  readonly serial: string;
};

export type CrlOptions = {
  /** Serials of Issued. */
  readonly revoked: readonly string[];
  /** Default: from an hour ago to a day from now. */
  readonly thisUpdate?: Date;
  readonly nextUpdate?: Date;
};

const authorities = new Map<string, Promise<CertificateAuthority>>();

/** The root of this name and key type, made once in a process. */
export function authority(name = 'Test CA', keyType: KeyType = 'p256'): Promise<CertificateAuthority> {
  const id = `${keyType} ${name}`;
  const made = authorities.get(id) ?? CertificateAuthority.root(name, keyType);
  authorities.set(id, made);
  return made;
}

/** A server's certificate for 127.0.0.1, ::1 and localhost, by the default authority. */
export async function serverCertificate(options: Partial<CertificateOptions> = {}): Promise<Issued> {
  const ca = await authority();
  return ca.issue({
    names: { cn: 'localhost', dns: ['localhost'], ip: ['127.0.0.1', '::1'] },
    usages: ['serverAuth'],
    ...options,
  });
}

/** A certificate that vouches for itself. */
export async function selfSigned(options: CertificateOptions): Promise<Issued> {
  const keyType = options.keyType ?? 'p256';
  const keys = await makeKeys(keyType);
  const subject = subjectOf(options.names);
  const issuer = { subject, keys, keyType };
  return issued(await certify(issuer, subject, keys.publicKey, leafExtensions(options), options), keys, '');
}

type Issuer = { readonly subject: x509.Name; readonly keys: webcrypto.CryptoKeyPair; readonly keyType: KeyType };

export class CertificateAuthority {
  /** PEM, its own certificate alone. */
  readonly cert: string;
  readonly #issuer: Issuer;
  /** PEM of what a leaf's certificate is followed by. */
  readonly #intermediates: string;

  private constructor(cert: string, issuer: Issuer, intermediates: string) {
    this.cert = cert;
    this.#issuer = issuer;
    this.#intermediates = intermediates;
  }

  static async root(name: string, keyType: KeyType): Promise<CertificateAuthority> {
    const keys = await makeKeys(keyType);
    const issuer = { subject: subjectOf({ cn: name }), keys, keyType };
    const certificate = await certify(issuer, issuer.subject, keys.publicKey, authorityExtensions);
    return new CertificateAuthority(pem(certificate), issuer, '');
  }

  /** An authority below this one, which its leaves' chains then contain. */
  async intermediate(name: string, keyType: KeyType = 'p256'): Promise<CertificateAuthority> {
    const keys = await makeKeys(keyType);
    const subject = subjectOf({ cn: name });
    const certificate = await certify(this.#issuer, subject, keys.publicKey, authorityExtensions);
    const cert = pem(certificate);
    return new CertificateAuthority(cert, { subject, keys, keyType }, cert + this.#intermediates);
  }

  async issue(options: CertificateOptions): Promise<Issued> {
    const keys = await makeKeys(options.keyType ?? 'p256');
    const subject = subjectOf(options.names);
    const certificate = await certify(this.#issuer, subject, keys.publicKey, leafExtensions(options), options);
    return issued(certificate, keys, this.#intermediates);
  }

  /** A certificate revocation list, PEM. */
  async crl({ revoked, thisUpdate, nextUpdate }: CrlOptions): Promise<string> {
    const crl = await x509.X509CrlGenerator.create({
      issuer: this.#issuer.subject,
      thisUpdate: thisUpdate ?? new Date(Date.now() - hourMs),
      nextUpdate: nextUpdate ?? new Date(Date.now() + dayMs),
      entries: revoked.map((serialNumber) => ({ serialNumber, revocationDate: new Date(Date.now() - hourMs) })),
      signingAlgorithm: keyAlgorithms[this.#issuer.keyType],
      signingKey: this.#issuer.keys.privateKey,
    });
    // As OpenSSL reads it; the library's own label is plain CRL.
    return `${x509.PemConverter.encode(crl.rawData, 'X509 CRL')}\n`;
  }
}

const { KeyUsageFlags } = x509;
const authorityExtensions = [
  new x509.BasicConstraintsExtension(true, undefined, true),
  new x509.KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
];

function leafExtensions({ names, usages }: CertificateOptions): x509.Extension[] {
  const alternatives: x509.JsonGeneralNames = [
    ...(names.dns ?? []).map((value) => ({ type: 'dns' as const, value })),
    ...(names.uri ?? []).map((value) => ({ type: 'url' as const, value })),
    ...(names.ip ?? []).map((value) => ({ type: 'ip' as const, value })),
  ];
  return [
    new x509.BasicConstraintsExtension(false, undefined, true),
    ...(usages ? [new x509.ExtendedKeyUsageExtension(usages.map((usage) => x509.ExtendedKeyUsage[usage]))] : []),
    ...(alternatives.length > 0 ? [new x509.SubjectAlternativeNameExtension(alternatives)] : []),
  ];
}

async function certify(
  issuer: Issuer,
  subject: x509.Name,
  publicKey: webcrypto.CryptoKey,
  extensions: x509.Extension[],
  { notBefore, notAfter }: Pick<CertificateOptions, 'notBefore' | 'notAfter'> = {},
): Promise<x509.X509Certificate> {
  return x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject,
    issuer: issuer.subject,
    publicKey,
    notBefore: notBefore ?? new Date(Date.now() - hourMs),
    notAfter: notAfter ?? new Date(Date.now() + dayMs),
    // Which key signed and which is certified (RFC 5280 sections 4.2.1.1 and 4.2.1.2): strict verifiers ask for both.
    extensions: [
      ...extensions,
      await x509.AuthorityKeyIdentifierExtension.create(issuer.keys.publicKey),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
    signingAlgorithm: keyAlgorithms[issuer.keyType],
    signingKey: issuer.keys.privateKey,
  });
}

/** Positive, and of the same length in every notation: the first byte is neither zero nor above 0x7f. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = 0x40 | ((bytes[0] ?? 0) % 0x40);
  return bytes.toString('hex');
}

/** With the text as it is: a plain string would be searched for quotes and escapes. */
const subjectOf = ({ cn }: Names): x509.Name => new x509.Name(cn === undefined ? [] : [{ CN: [{ utf8String: cn }] }]);

const pem = (certificate: x509.X509Certificate): string => `${certificate.toString('pem')}\n`;

async function issued(
  certificate: x509.X509Certificate,
  keys: webcrypto.CryptoKeyPair,
  intermediates: string,
): Promise<Issued> {
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return {
    cert: pem(certificate) + intermediates,
    key: `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`,
    serial: certificate.serialNumber.toUpperCase(),
  };
}

async function makeKeys(keyType: KeyType): Promise<webcrypto.CryptoKeyPair> {
  const keys = await webcrypto.subtle.generateKey(keyAlgorithms[keyType], true, ['sign', 'verify']);
  if (!('privateKey' in keys)) throw new TypeError(`${keyType} makes no key pair`);
  return keys;
}

function rsa(modulusLength: number) {
  return {
    name: 'RSASSA-PKCS1-v1_5',
    modulusLength,
    publicExponent: new Uint8Array([1, 0, 1]),
    hash: 'SHA-256',
  };
}
