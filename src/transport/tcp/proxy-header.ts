import { isIPv4, isIPv6, SocketAddress } from 'node:net';
import type { Prefix } from './prefix.ts';

/** Section 2.1 of the PROXY protocol (HAProxy, proxy-protocol.txt): the longest line of version 1, with its CRLF. */
const textBytesMax = 107;
/** Version 2 with its TLVs (section 2.2). Balancers send a few dozen bytes; names and certificates fit as well. */
export const proxyHeaderBytesMax = 4096;

const textSignature = Buffer.from('PROXY ');
/** Section 2.2: no HTTP request and no TLS record begins so. */
const binarySignature = Buffer.from('\r\n\r\n\0\r\nQUIT\n');
/** Signature, version and command, family and protocol, length. */
const binaryFixedBytes = 16;

/**
 * What a balancer says before the bytes of its client. `source` is the client's address, undefined where the balancer
 * speaks for itself (LOCAL, as in a health check) or does not know (UNKNOWN, UNSPEC).
 */
export type ProxyHeader = { readonly source: string | undefined };
export type ProxyHeaderFault = 'proxy_header_missing' | 'proxy_header_malformed';

const malformed = { value: 'proxy_header_malformed', used: 0 } as const;

/** Whether the bytes begin as a PROXY header does; undefined while there are too few of them to tell. */
export function beginsAsProxyHeader(bytes: Buffer): boolean | undefined {
  for (const signature of [textSignature, binarySignature]) {
    const length = Math.min(bytes.length, signature.length);
    if (bytes.subarray(0, length).equals(signature.subarray(0, length)))
      return length === signature.length ? true : undefined;
  }
  return false;
}

/** The PROXY header, version 1 or 2, at the start of a stream; undefined while it is not whole. Never throws. */
export function parseProxyHeader(bytes: Buffer): Prefix<ProxyHeader | ProxyHeaderFault> {
  const begins = beginsAsProxyHeader(bytes);
  if (begins === undefined) return undefined;
  if (!begins) return { value: 'proxy_header_missing', used: 0 };
  return bytes[0] === textSignature[0] ? parseText(bytes) : parseBinary(bytes);
}

/** Section 2.1: `PROXY TCP4 <source> <destination> <source port> <destination port>\r\n`. */
function parseText(bytes: Buffer): Prefix<ProxyHeader | ProxyHeaderFault> {
  const line = bytes.subarray(0, textBytesMax);
  const end = line.indexOf('\r\n');
  if (end < 0) return line.length < textBytesMax ? undefined : malformed;
  const [, family, source = '', destination = '', ...ports] = line.toString('latin1', 0, end).split(' ');
  const used = end + 2;
  // What follows UNKNOWN on the line is to be ignored.
  if (family === 'UNKNOWN') return { value: { source: undefined }, used };
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : () => false;
  const sound = isAddress(source) && isAddress(destination) && ports.length === 2 && ports.every(isPort);
  // A zone has no meaning away from the balancer's own links.
  if (!sound || source.includes('%')) return malformed;
  return { value: { source: canonical(source) }, used };
}

/** Section 2.1: decimal, without leading zeros. */
function isPort(text: string): boolean {
  return /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}

/** Section 2.2: fixed part, addresses, TLVs. The TLVs are skipped: nothing here rests on them. */
function parseBinary(bytes: Buffer): Prefix<ProxyHeader | ProxyHeaderFault> {
  if (bytes.length < binaryFixedBytes) return undefined;
  const used = binaryFixedBytes + bytes.readUInt16BE(14);
  if (used > proxyHeaderBytesMax) return malformed;
  const [version, command] = [bytes.readUInt8(12) >> 4, bytes.readUInt8(12) & 0x0f];
  if (version !== 2 || command > 1) return malformed;
  if (bytes.length < used) return undefined;
  const isLocal = command === 0;
  const family = bytes.readUInt8(13);
  if (isLocal || family === 0x00) return { value: { source: undefined }, used };
  // What remains are UDP and UNIX sockets, which nobody can have used to reach this one.
  const addressBytes = family === 0x11 ? 4 : family === 0x21 ? 16 : undefined;
  // Two addresses and two ports.
  if (addressBytes === undefined || used - binaryFixedBytes < 2 * addressBytes + 4) return malformed;
  const source = bytes.subarray(binaryFixedBytes, binaryFixedBytes + addressBytes);
  return { value: { source: canonical(addressText(source)) }, used };
}

function addressText(address: Buffer): string {
  if (address.length === 4) return address.join('.');
  return (address.toString('hex').match(/.{4}/g) ?? []).join(':');
}

/** One spelling an address: `2001:DB8:0::1` as `2001:db8::1`. */
function canonical(address: string): string {
  return isIPv4(address) ? address : new SocketAddress({ address, family: 'ipv6' }).address;
}
