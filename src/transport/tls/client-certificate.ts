import type { X509Certificate } from 'node:crypto';
import type { ConnectionRefusal } from '../tcp/connection-refusal.ts';
import { certificateNames } from './identity.ts';
import type { ClientAuth } from './tls-options.ts';
import { certificateRefusal } from './tls-refusal.ts';

/** What OpenSSL has found out about a client: its certificate, if any, and whether a CA of ours vouches for it. */
export type PresentedCertificate = {
  readonly certificate: X509Certificate | undefined;
  readonly authorized: boolean;
  /** The name of OpenSSL's verdict where it is not authorized. */
  readonly verdict: string;
};

export type ClientVerdict =
  | { readonly identities: readonly string[] | undefined }
  | { readonly refusal: ConnectionRefusal };

/** A certificate counts only if it is vouched for, and an absent one only where it may be absent. */
export function judgeClient(presented: PresentedCertificate, clientAuth: ClientAuth): ClientVerdict {
  const { certificate, authorized, verdict } = presented;
  if (clientAuth === 'none') return { identities: undefined };
  if (certificate === undefined)
    return clientAuth === 'optional' ? { identities: undefined } : { refusal: 'client_certificate_missing' };
  return authorized ? { identities: certificateNames(certificate) } : { refusal: certificateRefusal(verdict) };
}
