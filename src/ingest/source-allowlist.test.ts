import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clientAddress, SourceAllowlist, unmapped } from './source-allowlist.ts';

const cases: readonly (readonly [entry: string, allowed: readonly string[], refused: readonly string[]])[] = [
  ['192.0.2.7', ['192.0.2.7', '::ffff:192.0.2.7', '::ffff:c000:207'], ['192.0.2.8', '::192.0.2.7']],
  ['10.0.0.0/8', ['10.0.0.0', '10.255.255.255', '::ffff:10.1.2.3'], ['9.255.255.255', '11.0.0.0']],
  ['10.1.2.3/31', ['10.1.2.2', '10.1.2.3'], ['10.1.2.1', '10.1.2.4']],
  ['0.0.0.0/0', ['255.255.255.255', '::ffff:1.2.3.4'], ['2001:db8::1', '::1']],
  ['::1', ['::1', '0:0:0:0:0:0:0:1'], ['::2', '127.0.0.1']],
  ['2001:db8::/32', ['2001:db8::1', '2001:DB8:ffff::'], ['2001:db9::1', '192.0.2.1']],
  ['::/0', ['2001:db8::1'], []],
  ['::ffff:192.0.2.7', ['192.0.2.7', '::ffff:192.0.2.7'], ['192.0.2.8']],
  ['fe80::/10', ['fe80::1%eth0', 'fe80::1'], ['ff00::1']],
];

for (const [entry, allowed, refused] of cases) {
  test(`${entry} allows what lies in it and nothing else`, () => {
    const list = new SourceAllowlist([entry]);
    for (const address of allowed) assert.ok(list.allows(address), address);
    for (const address of refused) assert.ok(!list.allows(address), address);
  });
}

test('nobody is allowed by an empty list, and what is no address never is', () => {
  assert.ok(!new SourceAllowlist([]).allows('127.0.0.1'));
  const everybody = new SourceAllowlist(['0.0.0.0/0', '::/0']);
  for (const address of [undefined, '', 'localhost', '127.0.0.1:80', '127.1', '0x7f.0.0.1', 'unknown'])
    assert.ok(!everybody.allows(address), address);
});

test('an entry that is neither address nor block is refused by name', () => {
  for (const entry of [
    '',
    'localhost',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '10.0.0.0/-1',
    '::/129',
    '1.2.3',
    '1.2.3.4/8x',
  ])
    assert.throws(
      () => new SourceAllowlist(['127.0.0.1', entry]),
      new RangeError(`'${entry}' is neither an IP address nor a CIDR block such as 10.0.0.0/8 or 2001:db8::/32`),
    );
});

test('an IPv4 address that arrives mapped into IPv6 is known by its IPv4 form', () => {
  assert.equal(unmapped('::ffff:192.0.2.7'), '192.0.2.7');
  assert.equal(unmapped('::FFFF:192.0.2.7'), '192.0.2.7');
  assert.equal(unmapped('fe80::1%eth0'), 'fe80::1');
  assert.equal(unmapped('2001:db8::1'), '2001:db8::1');
});

const proxies = new SourceAllowlist(['10.0.0.0/8']);
const hops: readonly (readonly [what: string, peer: string, forwardedFor: string | undefined, client: string])[] = [
  ['a sender without a proxy is its own address', '192.0.2.7', undefined, '192.0.2.7'],
  ['a sender that is no proxy cannot claim another address', '192.0.2.7', '203.0.113.9', '192.0.2.7'],
  ['behind a proxy the client is what the proxy saw', '10.0.0.1', '203.0.113.9', '203.0.113.9'],
  ['what the client claims stands before what the proxy saw', '10.0.0.1', '1.1.1.1, 203.0.113.9', '203.0.113.9'],
  [
    'a chain of proxies is followed to the first that is none',
    '10.0.0.1',
    '1.1.1.1, 203.0.113.9,10.0.0.2',
    '203.0.113.9',
  ],
  ['a proxy that forwards for nobody is the client', '10.0.0.1', undefined, '10.0.0.1'],
  ['where every hop is a proxy the first of them is the client', '10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
  ['a mapped proxy is a proxy', '::ffff:10.0.0.1', '::ffff:203.0.113.9', '203.0.113.9'],
  ['an empty hop ends the chain', '10.0.0.1', '203.0.113.9, ', '10.0.0.1'],
];

for (const [what, peer, forwardedFor, client] of hops)
  test(what, () => assert.equal(clientAddress(peer, forwardedFor, proxies), client));

test('a connection that is gone has no address', () => {
  assert.equal(clientAddress(undefined, '203.0.113.9', proxies), undefined);
});

test('a mapped block means its IPv4 block: its prefix counts the 96 bits before', () => {
  const list = new SourceAllowlist(['::ffff:10.0.0.0/104']);
  assert.equal(list.allows('10.1.2.3'), true);
  assert.equal(list.allows('11.0.0.1'), false);
  assert.throws(() => new SourceAllowlist(['::ffff:10.0.0.0/8']), RangeError);
});
