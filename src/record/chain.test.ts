import assert from 'node:assert/strict';
import test from 'node:test';
import { recordVectors } from '../../test/vectors/records.ts';
import { judgeLink } from './chain.ts';
import { type ChainHead, genesis } from './record.ts';

const heads: ChainHead[] = [
  genesis,
  ...recordVectors.map(({ record, recordHash }) => ({ sequence: record.sequence, recordHash })),
];

test('each record of a chain fits the head before it, is used at its own and later ones, and ahead of earlier ones', () => {
  for (const { record } of recordVectors) {
    for (const head of heads) {
      const distance = record.sequence - head.sequence;
      assert.equal(judgeLink(head, record), distance === 1n ? 'fits' : distance < 1n ? 'used' : 'ahead');
    }
  }
});

test('a record that is next in number but names another predecessor cannot join the chain', () => {
  const wrong = Buffer.alloc(32, 0xff);
  for (const [index, { record }] of recordVectors.entries()) {
    assert.equal(judgeLink(heads[index] ?? genesis, { ...record, prevRecordHash: wrong }), 'wrong-link');
  }
});

test('sequence 0 is used from the beginning', () => {
  for (const { record } of recordVectors) assert.equal(judgeLink(genesis, { ...record, sequence: 0n }), 'used');
});
