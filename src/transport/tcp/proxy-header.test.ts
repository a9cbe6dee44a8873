import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseProxyHeader, proxyHeaderBytesMax } from './proxy-header.ts';

const binarySignature = Buffer.from('\r\n\r\n\0\r\nQUIT\n');

function binary(command: number, family: number, body: Uint8Array): Buffer {
  const fixed = Buffer.from([command, family, 0, 0]);
  fixed.writeUInt16BE(body.length, 2);
  return Buffer.concat([binarySignature, fixed, body]);
}

const ipv4Bytes = fc.uint8Array({ minLength: 4, maxLength: 4 });
const ipv6Bytes = fc.uint8Array({ minLength: 16, maxLength: 16 });
const port = fc.nat(65_535);
const tlvs = fc.uint8Array({ maxLength: 300 });
const ipv4Text = ipv4Bytes.map((bytes) => bytes.join('.'));
const groups = (bytes: Uint8Array) => (Buffer.from(bytes).toString('hex').match(/.{4}/g) ?? []).join(':');
/** One spelling, whatever the parser gives. */
const spelled = (address: string) => new URL(`http://[${address}]/`).hostname;

const textHeader = fc
  .tuple(ipv4Text, ipv4Text, port, port)
  .map(([source, destination, from, to]) => Buffer.from(`PROXY TCP4 ${source} ${destination} ${from} ${to}\r\n`));
const binaryHeader = fc
  .tuple(ipv4Bytes, tlvs)
  .map(([source, more]) => binary(0x21, 0x11, Buffer.concat([source, Buffer.alloc(8), more])));
/** Headers, things that begin as one does, and anything. */
const bytes = fc.oneof(
  textHeader,
  binaryHeader,
  fc.string({ maxLength: 150 }).map((text) => Buffer.from(`PROXY ${text}`)),
  fc.uint8Array({ maxLength: 80 }).map((rest) => Buffer.concat([binarySignature, rest])),
  fc.uint8Array({ maxLength: 80 }).map((any) => Buffer.from(any)),
);

test('version 1 names the source and ends at its CRLF', () => {
  fc.assert(
    fc.property(ipv4Text, ipv4Text, port, port, fc.string(), (source, destination, from, to, rest) => {
      const header = `PROXY TCP4 ${source} ${destination} ${from} ${to}\r\n`;
      assert.deepEqual(parseProxyHeader(Buffer.from(header + rest)), { value: { source }, used: header.length });
    }),
  );
});

test('version 2 names the source, of either family, and skips what it does not know', () => {
  fc.assert(
    fc.property(ipv4Bytes, tlvs, fc.uint8Array(), (address, more, rest) => {
      const header = binary(0x21, 0x11, Buffer.concat([address, Buffer.alloc(8), more]));
      const parsed = parseProxyHeader(Buffer.concat([header, rest]));
      assert.deepEqual(parsed, { value: { source: address.join('.') }, used: header.length });
    }),
  );
  fc.assert(
    fc.property(ipv6Bytes, tlvs, (address, more) => {
      const parsed = parseProxyHeader(binary(0x21, 0x21, Buffer.concat([address, Buffer.alloc(20), more])));
      assert.ok(parsed && typeof parsed.value === 'object' && parsed.value.source !== undefined);
      assert.equal(spelled(parsed.value.source), spelled(groups(address)));
    }),
  );
});

test('however it is cut, a prefix asks for more or says what the whole says', () => {
  fc.assert(
    fc.property(bytes, (whole) => {
      const verdict = parseProxyHeader(whole);
      for (let length = 0; length < whole.length; length += 1) {
        const early = parseProxyHeader(whole.subarray(0, length));
        if (early !== undefined) assert.deepEqual(early, verdict);
      }
    }),
  );
});

test('it decides within its bound, so that nobody can make it wait for ever', () => {
  fc.assert(
    fc.property(bytes, fc.integer({ min: 0, max: 255 }), (beginning, filler) => {
      const long = Buffer.concat([beginning, Buffer.alloc(proxyHeaderBytesMax, filler)]);
      assert.notEqual(parseProxyHeader(long), undefined);
    }),
  );
});

test('the balancer for itself, and a client that it does not know, have no source', () => {
  for (const header of [
    binary(0x20, 0x00, Buffer.alloc(0)),
    binary(0x20, 0x11, Buffer.alloc(12)),
    binary(0x21, 0x00, Buffer.alloc(5)),
    Buffer.from('PROXY UNKNOWN\r\n'),
    Buffer.from('PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n'),
  ])
    assert.deepEqual(parseProxyHeader(header), { value: { source: undefined }, used: header.length });
});

const unsound: readonly (readonly [what: string, header: Buffer])[] = [
  ['another family', Buffer.from('PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n')],
  ['an address of the other family', Buffer.from('PROXY TCP4 ::1 ::2 1 2\r\n')],
  ['a zone', Buffer.from('PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n')],
  ['a port with a leading zero', Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n')],
  ['a port beyond 65535', Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n')],
  ['one port', Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n')],
  ['two blanks', Buffer.from('PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n')],
  ['a line without an end', Buffer.from(`PROXY ${'x'.repeat(120)}`)],
  ['version 3', binary(0x31, 0x11, Buffer.alloc(12))],
  ['a command that is none', binary(0x22, 0x11, Buffer.alloc(12))],
  ['a UNIX socket', binary(0x21, 0x31, Buffer.alloc(216))],
  ['UDP', binary(0x21, 0x12, Buffer.alloc(12))],
  ['too few bytes for its addresses', binary(0x21, 0x21, Buffer.alloc(35))],
  ['more bytes than the bound', binary(0x21, 0x11, Buffer.alloc(proxyHeaderBytesMax))],
];
for (const [what, header] of unsound)
  test(`a header with ${what} is malformed`, () => {
    assert.deepEqual(parseProxyHeader(header), { value: 'proxy_header_malformed', used: 0 });
  });

test('whatever begins otherwise is no header', () => {
  for (const start of ['GET / HTTP/1.1', '\x16\x03\x01', 'PROXIES', '\r\n\r\n\0\r\nQUIX'])
    assert.deepEqual(parseProxyHeader(Buffer.from(start, 'latin1')), { value: 'proxy_header_missing', used: 0 });
});
