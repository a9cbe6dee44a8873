import assert from 'node:assert/strict';
import test from 'node:test';
import { blake3 as oracle } from '@noble/hashes/blake3.js';
import { recordVectors } from '../../test/vectors/records.ts';
import { blake3Hash, recordHash } from './hash.ts';

/** The input of BLAKE3's published test vectors: byte i is i mod 251. */
const published = (length: number) => Buffer.from(Uint8Array.from({ length }, (_, i) => i % 251));

test('payload and record hashes are those that devices in the field compute', () => {
  for (const { record, payload, recordHash: expected } of recordVectors) {
    assert.deepEqual(blake3Hash(payload), record.payloadHash);
    assert.deepEqual(recordHash(record), expected);
  }
});

test('the published vectors of BLAKE3 hold, for the hash in use and for its oracle', () => {
  const vectors = [
    [0, 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'],
    [1, '2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213'],
    [1024, '42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7'],
    [1025, 'd00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444'],
  ] as const;
  for (const [length, expected] of vectors) {
    assert.equal(blake3Hash(published(length)).toString('hex'), expected);
    assert.equal(Buffer.from(oracle(published(length))).toString('hex'), expected);
  }
});

test('the native hash and an independent one agree on every length over two chunks and around every larger boundary', () => {
  const boundaries = [4096, 8192, 16_384, 32_768, 65_536, 131_072];
  const around = boundaries.flatMap((boundary) => [boundary - 1, boundary, boundary + 1, boundary + 1023]);
  const bytes = published(Math.max(...around));
  for (const length of [...Array(2101).keys(), ...around]) {
    const input = bytes.subarray(0, length);
    assert.deepEqual(blake3Hash(input), Buffer.from(oracle(input)), `${length} bytes`);
  }
});
