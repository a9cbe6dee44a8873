import { constants } from 'node:crypto';
import type { SecureContextOptions, TlsOptions } from 'node:tls';

/** Whether clients have to present a certificate, may, or are not asked for one. */
export type ClientAuth = 'required' | 'optional' | 'none';

/** PEM. `ca` and `crl` are what clients are judged by. */
export type TlsCredentials = Pick<SecureContextOptions, 'cert' | 'key' | 'ca' | 'crl'>;

/**
 * Mozilla's intermediate profile without its DHE suites, for clients that speak elliptic curves, as all of TLS 1.2 worth
 * having do: forward secrecy and authenticated encryption, nothing else.
 */
const ciphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/**
 * A renegotiation is refused by OpenSSL itself with a `no_renegotiation` alert: it would let a client make us do the costly
 * half of a handshake again and again. Compression leaks what is beside it (CRIME).
 */
const refusedOptions = constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION;

/**
 * What a context is made of, for the listener and for every swap.
 * @throws TypeError when clients are to be authenticated and there is no CA: Node would take the public ones
 */
export function secureContextOptions(
  { cert, key, ca, crl }: TlsCredentials,
  clientAuth: ClientAuth,
): SecureContextOptions {
  const authenticates = clientAuth !== 'none';
  if (authenticates && !ca?.length) throw new TypeError(`client certificates are ${clientAuth}, but no CA is given`);
  return {
    cert,
    key,
    ...(authenticates && { ca, crl }),
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ciphers,
    ecdhCurve: 'X25519:prime256v1:secp384r1',
    // All of them are good: the client knows best which one its hardware does fast.
    honorCipherOrder: false,
    // A resumed session brings its client's certificate along as it was judged then: a revocation would not count.
    // Without tickets, and without a store of sessions, which Node leaves to us, there is nothing to resume.
    secureOptions: refusedOptions | (authenticates ? constants.SSL_OP_NO_TICKET : 0),
  };
}

export function tlsServerOptions(
  credentials: TlsCredentials,
  clientAuth: ClientAuth,
  handshakeTimeoutMs: number,
): TlsOptions {
  return {
    ...secureContextOptions(credentials, clientAuth),
    // No common protocol ends the handshake with a no_application_protocol alert (RFC 7301 section 3.2).
    ALPNProtocols: ['http/1.1'],
    handshakeTimeout: handshakeTimeoutMs,
    requestCert: clientAuth !== 'none',
    // Node would cut the connection without a word. TlsGuard judges every certificate, and says what was wrong with it.
    rejectUnauthorized: false,
  };
}
