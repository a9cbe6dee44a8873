import type { ConnectionRefusal } from '../tcp/connection-refusal.ts';

/** OpenSSL's verdicts on a client certificate, by the names that Node gives them (X509_V_ERR_...). */
const certificateRefusals: Readonly<Record<string, ConnectionRefusal>> = {
  CERT_HAS_EXPIRED: 'client_certificate_expired',
  CERT_NOT_YET_VALID: 'client_certificate_expired',
  CERT_REVOKED: 'client_certificate_revoked',
  CRL_HAS_EXPIRED: 'crl_expired',
  CRL_NOT_YET_VALID: 'crl_expired',
};

/**
 * Whatever else is wrong with a certificate, nobody that we trust vouches for it. So it is with UNABLE_TO_GET_CRL, by which
 * OpenSSL means an issuer without a revocation list, or, last of several complaints, an issuer that is not known at all.
 */
export function certificateRefusal(verdict: string): ConnectionRefusal {
  return certificateRefusals[verdict] ?? 'client_certificate_untrusted';
}

/** Errors of Node and OpenSSL in a handshake. Versions, ciphers, ALPN and alerts of the client are all `handshake_failed`. */
const handshakeRefusals: Readonly<Record<string, ConnectionRefusal>> = {
  ERR_TLS_HANDSHAKE_TIMEOUT: 'handshake_timeout',
  ERR_SSL_WRONG_VERSION_NUMBER: 'not_tls',
};

export function handshakeRefusal(code: string | undefined): ConnectionRefusal {
  return handshakeRefusals[code ?? ''] ?? 'handshake_failed';
}
