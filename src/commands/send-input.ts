import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

/** One payload or envelope and its place in the input, from 1: a line's number. */
export type SendItem = { readonly bytes: Buffer; readonly number: number };

/** One request's worth: many times what a request costs, few enough that a refused one is cheap to repeat. */
export const batchRecordsMax = 500;
/** Payload bytes of a request, half of what goes over the wire in hexadecimal. */
const batchBytesMax = 4 * 1024 * 1024;
/** What the generator makes at a time. */
const generatedBytes = 1024 * 1024;
/** With --rate, so many requests a second at the most: even pacing, few requests. */
const pacedRequestsPerSecond = 4;

/** `count` payloads of `payloadBytes` random bytes. */
export async function* generatePayloads(count: number, payloadBytes: number): AsyncGenerator<Buffer[]> {
  const groupMax = Math.min(batchRecordsMax, Math.max(1, Math.floor(generatedBytes / Math.max(1, payloadBytes))));
  for (let made = 0; made < count; made += groupMax) {
    yield Array.from({ length: Math.min(groupMax, count - made) }, () => randomBytes(payloadBytes));
  }
}

/** Numbers what comes and leaves the first `skip` out. */
export async function* numbered(groups: AsyncIterable<Buffer[]>, skip: number): AsyncGenerator<SendItem[]> {
  let number = 0;
  for await (const group of groups) {
    const items = group.map((bytes) => ({ bytes, number: ++number })).filter((item) => item.number > skip);
    if (items.length > 0) yield items;
  }
}

export type BatchOptions = {
  readonly recordsMax: number;
  /** Records a second, undefined for as fast as it goes. */
  readonly rate: number | undefined;
  readonly signal: AbortSignal;
};

/** Cuts groups into batches by count and bytes, and paces them. Batches never wait for more to come. */
export async function* batches(
  groups: AsyncIterable<SendItem[]>,
  { recordsMax, rate, signal }: BatchOptions,
): AsyncGenerator<SendItem[]> {
  const countMax = rate === undefined ? recordsMax : clamp(Math.floor(rate / pacedRequestsPerSecond), 1, recordsMax);
  const startMs = performance.now();
  let sent = 0;
  for await (const group of groups) {
    for (const batch of cut(group, countMax)) {
      signal.throwIfAborted();
      const waitMs = rate === undefined ? 0 : startMs + (sent / rate) * 1000 - performance.now();
      if (waitMs > 0) await sleep(waitMs, undefined, { signal });
      yield batch;
      sent += batch.length;
    }
  }
}

function* cut(items: readonly SendItem[], countMax: number): Generator<SendItem[]> {
  let batch: SendItem[] = [];
  let bytes = 0;
  for (const item of items) {
    if (batch.length === countMax || (batch.length > 0 && bytes + item.bytes.length > batchBytesMax)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(item);
    bytes += item.bytes.length;
  }
  if (batch.length > 0) yield batch;
}

const clamp = (value: number, least: number, most: number) => Math.min(most, Math.max(least, value));
