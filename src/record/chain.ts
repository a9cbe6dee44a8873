import type { ChainHead, DeviceRecord } from './record.ts';

/**
 * Where a record stands to a head of its device's chain:
 * `fits` it is the next link; `used` its sequence is at or before the head; `ahead` a predecessor is missing;
 * `wrong-link` it is the next in number but names another predecessor.
 */
export type LinkVerdict = 'fits' | 'used' | 'ahead' | 'wrong-link';

export function judgeLink(head: ChainHead, record: DeviceRecord): LinkVerdict {
  if (record.sequence <= head.sequence) return 'used';
  if (record.sequence > head.sequence + 1n) return 'ahead';
  return record.prevRecordHash.equals(head.recordHash) ? 'fits' : 'wrong-link';
}
