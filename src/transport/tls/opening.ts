import type { Prefix } from '../tcp/prefix.ts';
import { beginsAsProxyHeader } from '../tcp/proxy-header.ts';

/** RFC 8446 section 5.1: the type of a record that carries a handshake, which is what a client sends first. */
const handshakeRecord = 0x16;
const isLetter = (byte: number) => byte >= 0x41 && byte <= 0x5a;

export type Opening = 'tls' | 'plain_http' | 'proxy_header_from_stranger' | 'not_tls';

/** What a client's first bytes are, before any of OpenSSL is spent on them; they stay in the stream. */
export function judgeOpening(bytes: Buffer): Prefix<Opening> {
  const [first] = bytes;
  if (first === undefined) return undefined;
  if (first === handshakeRecord) return { value: 'tls', used: 0 };
  const isProxyHeader = beginsAsProxyHeader(bytes);
  if (isProxyHeader === undefined) return undefined;
  if (isProxyHeader) return { value: 'proxy_header_from_stranger', used: 0 };
  // The methods of HTTP are words in capitals.
  return { value: isLetter(first) ? 'plain_http' : 'not_tls', used: 0 };
}
