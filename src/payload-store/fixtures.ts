/** For the tests of this folder. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type AdmittedRecord, type PayloadLocation, Unavailable } from '../ingest/ports.ts';
import { encodeRecord } from '../record/encoding.ts';
import { blake3Hash } from '../record/hash.ts';
import type { PutOutcome } from './blobs.ts';
import { type BlobDescription, type Blobs, type ListedBlob, LookForbidden, PayloadMissing } from './blobs.ts';

/** A record as admission passes it on, all but its signature and link. */
export function admittedRecord(wanted: {
  deviceId?: string;
  sequence?: bigint;
  objectRef?: string;
  payload?: Buffer;
}): AdmittedRecord {
  const { deviceId = 'lift-01', sequence = 1n, objectRef = 'lift-01/000001.bin' } = wanted;
  const payload = wanted.payload ?? Buffer.from(`payload of ${objectRef}`);
  const record = {
    deviceId,
    sequence,
    timestampMs: 1_700_000_000_000n,
    payloadHash: blake3Hash(payload),
    signature: Buffer.alloc(64, 7),
    prevRecordHash: Buffer.alloc(32),
    objectRef,
  };
  const encoded = encodeRecord(record);
  return { record, encoded, recordHash: blake3Hash(encoded), payload };
}

/** A store in memory whose faults are set by the test. */
export class MemoryBlobs implements Blobs {
  writeOnly = false;
  failing = false;
  /** Puts get no answer until their time is over. */
  hanging = false;
  unusable: RegExp | undefined;
  runningMost = 0;
  begun = 0;
  #running = 0;
  readonly #objects = new Map<string, { content: Buffer; record: Buffer | undefined }>();

  get keys(): string[] {
    return [...this.#objects.keys()].sort();
  }

  contentOf(key: string): Buffer | undefined {
    return this.#objects.get(key)?.content;
  }

  /** In ascending order. */
  framesPerObject(decode: (content: Buffer) => readonly unknown[]): number[] {
    const counts = [...this.#objects.values()].map(({ content }) => decode(content).length);
    return counts.sort((a, b) => a - b);
  }

  async putOnce(key: string, content: Buffer, record: Buffer | undefined, endMs = Infinity): Promise<PutOutcome> {
    this.runningMost = Math.max(this.runningMost, ++this.#running);
    this.begun++;
    await (this.hanging ? sleep(endMs - performance.now()) : new Promise((resolve) => setImmediate(resolve)));
    this.#running--;
    if (this.hanging) throw new Unavailable('payload_store', 'no answer');
    if (this.failing) throw new Unavailable('payload_store', 'out of order');
    if (this.unusable?.test(key)) return 'unusable';
    if (this.#objects.has(key)) return 'taken';
    this.#objects.set(key, { content, record });
    return 'created';
  }

  async read({ objectKey, offset = 0, bytes }: PayloadLocation): Promise<Buffer> {
    return this.#find(objectKey).content.subarray(offset, offset + bytes);
  }

  async describe(key: string): Promise<BlobDescription> {
    const { content, record } = this.#find(key);
    return { bytes: content.length, record };
  }

  async *list(): AsyncGenerator<ListedBlob> {
    for (const key of this.keys) yield { key, bytes: this.#find(key).content.length };
  }

  async check(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}

  #find(key: string): { content: Buffer; record: Buffer | undefined } {
    if (this.writeOnly) throw new LookForbidden('payload_store', 'reading is not permitted');
    const found = this.#objects.get(key);
    if (found === undefined) throw new PayloadMissing(`no ${key}`);
    return found;
  }
}
