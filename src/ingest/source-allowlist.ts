import { BlockList, isIP, isIPv4 } from 'node:net';

/** Addresses and CIDR blocks, IPv4 and IPv6. An IPv4 address that arrives mapped into IPv6 counts as IPv4. */
export class SourceAllowlist {
  readonly #blocks = new BlockList();

  /** @throws RangeError naming the entry that is neither an address nor a block */
  constructor(entries: readonly string[]) {
    for (const entry of entries) this.#add(entry);
  }

  allows(address: string | undefined): boolean {
    if (address === undefined) return false;
    const plain = unmapped(address);
    const version = isIP(plain);
    return version !== 0 && this.#blocks.check(plain, version === 4 ? 'ipv4' : 'ipv6');
  }

  #add(entry: string): void {
    const [base = '', prefixText, more] = entry.split('/');
    const address = unmapped(base);
    const bitsMax = isIPv4(address) ? 32 : 128;
    // The prefix of a mapped block counts the 96 bits before the IPv4 address as well.
    const mappedBits = bitsMax === 32 && !isIPv4(base) ? 96 : 0;
    const prefix =
      prefixText === undefined ? bitsMax : /^\d{1,3}$/.test(prefixText) ? Number(prefixText) - mappedBits : -1;
    if (isIP(address) === 0 || more !== undefined || prefix < 0 || prefix > bitsMax)
      throw new RangeError(`'${entry}' is neither an IP address nor a CIDR block such as 10.0.0.0/8 or 2001:db8::/32`);
    this.#blocks.addSubnet(address, prefix, bitsMax === 32 ? 'ipv4' : 'ipv6');
  }
}

/** `::ffff:192.0.2.1` as `192.0.2.1` (RFC 4291 section 2.5.5.2), without a zone; other addresses as they are. */
export function unmapped(address: string): string {
  const [plain = ''] = address.split('%');
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain)?.[1];
  return mapped ?? plain;
}

/**
 * The address that a request comes from: the peer's, or where the peer is a configured proxy, the last address of
 * X-Forwarded-For that is not one. What stands before that anybody can have written.
 */
export function clientAddress(
  peer: string | undefined,
  forwardedFor: string | undefined,
  trustedProxies: SourceAllowlist,
): string | undefined {
  const hops = (forwardedFor ?? '').split(',').map((hop) => hop.trim());
  let address = peer;
  while (trustedProxies.allows(address)) {
    const hop = hops.pop();
    if (!hop) break;
    address = hop;
  }
  return address === undefined ? undefined : unmapped(address);
}
