import { blake3 } from '@napi-rs/blake-hash';
import { encodeRecord } from './encoding.ts';
import type { DeviceRecord } from './record.ts';

/** BLAKE3-256, 32 bytes. Source: the BLAKE3 paper, section 2, hash mode with the default output length. */
export function blake3Hash(bytes: Uint8Array): Buffer {
  return blake3(bytes);
}

/** The hash that the next record of the device must carry as `prev_record_hash`. */
export function recordHash(record: DeviceRecord): Buffer {
  return blake3Hash(encodeRecord(record));
}
