import type { PayloadLocation } from '../../src/ingest/ports.ts';
import { type BlobDescription, PayloadMissing, type PutOutcome } from '../../src/payload-store/blobs.ts';
import type { Scheduler } from './scheduler.ts';

/** The object store that all replicas share: write-once objects, each call one atomic step. */
export class MemoryObjects {
  readonly scheduler: Scheduler;
  readonly objects = new Map<string, { content: Buffer; record: Buffer | undefined }>();

  constructor(scheduler: Scheduler) {
    this.scheduler = scheduler;
  }

  putOnce(key: string, content: Buffer, record: Buffer | undefined): PutOutcome {
    if (this.objects.has(key)) return 'taken';
    this.objects.set(key, { content, record });
    return 'created';
  }

  describe(key: string): BlobDescription {
    const { content, record } = this.#object(key);
    return { bytes: content.length, record };
  }

  read({ objectKey, offset = 0, bytes }: PayloadLocation): Buffer {
    return this.#object(objectKey).content.subarray(offset, offset + bytes);
  }

  #object(key: string) {
    const object = this.objects.get(key);
    if (object === undefined) throw new PayloadMissing(`no object ${key}`);
    return object;
  }
}
