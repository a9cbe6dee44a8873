/** Why a connection ends before a request of it is looked at: the closed list, which metrics and docs follow. */
export const connectionRefusals = [
  'source_not_allowed',
  'too_many_connections',
  'too_many_connections_of_source',
  'proxy_header_missing',
  'proxy_header_malformed',
  'proxy_header_timeout',
  'proxy_header_from_stranger',
  'plain_http',
  'not_tls',
  'handshake_timeout',
  'handshake_failed',
  'client_certificate_missing',
  'client_certificate_expired',
  'client_certificate_untrusted',
  'client_certificate_revoked',
  'crl_expired',
] as const;

export type ConnectionRefusal = (typeof connectionRefusals)[number];

/** Told of every connection that is refused; must not throw. */
export interface ConnectionObserver {
  /** @param address of the device, or of the balancer where it has not said whom it speaks for */
  refused(reason: ConnectionRefusal, address: string | undefined): void;
}
