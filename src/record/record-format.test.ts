import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { recordVectors, sampleRecord, vectorKey } from '../../test/vectors/records.ts';
import { decodeRecord } from './encoding.ts';
import { blake3Hash } from './hash.ts';
import { parseEnvelope } from './parse.ts';
import { deviceIdBytesMax, objectRefBytesMax } from './record.ts';
import { signedMessage, verifySignature } from './signature.ts';

const doc = readFileSync(join(import.meta.dirname, '../../docs/record-format.md'), 'utf8');

/** The fenced block of that kind. There must be one. */
function block(kind: string): string {
  const blocks = [...doc.matchAll(new RegExp(`^\`\`\`${kind}\n(.*?)^\`\`\``, 'gms'))];
  assert.equal(blocks.length, 1, `one block of ${kind}`);
  return blocks[0]?.[1] ?? '';
}

/** The bytes of a block whose lines begin with hexadecimal digits. */
function bytesIn(kind: string): Buffer {
  const lines = block(kind).trimEnd().split('\n');
  return Buffer.concat(lines.map((line) => Buffer.from(line.split(' ')[0] ?? '', 'hex')));
}

test('whoever encodes a record as the page shows gets the bytes and the hash that the service gets', () => {
  assert.deepEqual(decodeRecord(bytesIn('record-encoding')), sampleRecord);
  assert.deepEqual(bytesIn('record-encoding'), recordVectors[0]?.encoded);
  assert.deepEqual(blake3Hash(bytesIn('record-encoding')), bytesIn('record-hash'));
});

test('whoever signs as the page shows is accepted under record-v2', () => {
  assert.deepEqual(bytesIn('record-v2-message'), signedMessage('record-v2', sampleRecord));
  const record = { ...sampleRecord, signature: bytesIn('record-v2-signature') };
  assert.equal(verifySignature(record, { scheme: 'record-v2', publicKey: vectorKey.publicKey }), true);
});

test('the JSON of the page is the body that a device may send', () => {
  const [vector] = recordVectors;
  assert.deepEqual(parseEnvelope(Buffer.from(block('json'))), { record: vector?.record, payload: vector?.payload });
});

test('the page states the bounds that the parser has', () => {
  assert.ok(doc.includes(`1 to ${deviceIdBytesMax} bytes`));
  assert.ok(doc.includes(`1 to ${objectRefBytesMax} bytes`));
});
