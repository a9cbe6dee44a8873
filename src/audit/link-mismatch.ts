import { judgeLink } from '../record/chain.ts';
import type { ChainHead, DeviceRecord } from '../record/record.ts';
import type { Mismatch } from './findings.ts';

/** How `record` fails to follow `head` in its device's chain, undefined where it does follow. */
export function linkMismatch(head: ChainHead, record: DeviceRecord): Mismatch | undefined {
  const sequences = { expected: `sequence ${head.sequence + 1n}`, actual: `sequence ${record.sequence}` };
  switch (judgeLink(head, record)) {
    case 'fits':
      return undefined;
    case 'used':
      return { problem: 'a record is repeated or out of order', ...sequences };
    case 'ahead':
      return {
        problem: head.sequence === 0n ? 'the chain does not start at sequence 1' : 'a record is missing',
        ...sequences,
      };
    case 'wrong-link':
      return {
        problem: 'it does not link to the record before it',
        expected: `prev_record_hash ${head.recordHash.toString('hex')}`,
        actual: record.prevRecordHash.toString('hex'),
      };
  }
}
