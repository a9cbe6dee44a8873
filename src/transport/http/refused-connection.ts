import type { ConnectionRefusal } from '../tcp/connection-refusal.ts';
import { rawAnswer } from './raw-answer.ts';
import { refusal } from './reply.ts';

const errors: Partial<Record<ConnectionRefusal, string>> = {
  plain_http: 'this port speaks TLS: use https',
  client_certificate_missing: 'a client certificate is required here, and none was presented',
  client_certificate_expired: 'the client certificate has expired, or is not valid yet',
  client_certificate_untrusted:
    'the client certificate is not trusted here: its issuer is unknown or has no revocation list, or it is not for clients',
  client_certificate_revoked: 'the client certificate has been revoked',
  crl_expired: 'the client certificate cannot be checked for revocation: the list is out of date',
};

/** What a client of ours reads when its connection is refused; undefined for one that would not understand an answer. */
export function refusedConnectionAnswer(reason: ConnectionRefusal): string | undefined {
  const error = errors[reason];
  return error && rawAnswer(refusal('bad_http', error));
}
