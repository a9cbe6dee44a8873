import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { judgeLink } from '../../src/record/chain.ts';
import { recordHash } from '../../src/record/hash.ts';
import { judgePayload } from '../../src/record/judge.ts';
import { parseEnvelope } from '../../src/record/parse.ts';
import { type ChainHead, type DeviceRecord, genesis } from '../../src/record/record.ts';
import { type Rejection, reject } from '../../src/record/rejection.ts';
import { type VerificationKey, verifySignature } from '../../src/record/signature.ts';

/** What the next request gets instead of an answer. `lost`: it is carried out, and the connection ends without an answer. */
export type Fault =
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string }
  | 'lost';

/** The ingest API in memory, for tests of those who send to it: chain rule and signatures are real, nothing is stored. */
export class FakeIngest implements AsyncDisposable {
  readonly requests: { readonly path: string; readonly traceparent: string | undefined; readonly records: number }[] =
    [];
  readonly records = new Map<string, DeviceRecord[]>();
  readonly #keys: ReadonlyMap<string, VerificationKey>;
  readonly #faults: Fault[];
  readonly #server = createServer((request, response) => void this.#serve(request, response));

  /** @param faults one a request, from the first; sound service after them */
  private constructor(keys: ReadonlyMap<string, VerificationKey>, faults: readonly Fault[]) {
    this.#keys = keys;
    this.#faults = [...faults];
  }

  static async start(keys: Record<string, VerificationKey>, faults: readonly Fault[] = []): Promise<FakeIngest> {
    const fake = new FakeIngest(new Map(Object.entries(keys)), faults);
    await new Promise<void>((listening) => fake.#server.listen(0, '127.0.0.1', listening));
    return fake;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Admits a record that the sender under test knows nothing of. */
  admit(record: DeviceRecord): void {
    this.records.set(record.deviceId, [...this.#chain(record.deviceId), record]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    const lines = Buffer.concat(parts).toString('utf8').split('\n').filter(Boolean);
    const path = request.url ?? '';
    this.requests.push({ path, traceparent: request.headers.traceparent?.toString(), records: lines.length });
    const fault = this.#faults.shift();
    if (fault !== undefined && fault !== 'lost') {
      response.writeHead(fault.status, fault.headers).end(fault.body);
      return;
    }
    const { status, body } = this.#answer(path, lines);
    if (fault === 'lost') response.destroy();
    else response.writeHead(status).end(body);
  }

  #answer(path: string, lines: readonly string[]): { status: number; body: string } {
    const device = /^\/api\/v1\/devices\/(.*)\/head$/.exec(path)?.[1];
    if (device !== undefined) return this.#headAnswer(decodeURIComponent(device));
    const verdicts = lines.map((line) => this.#verdict(line));
    if (path === '/api/v1/ingest/batch') return { status: 200, body: `${verdicts.join('\n')}\n` };
    const [verdict = ''] = verdicts;
    return { status: verdict.includes('"accepted"') ? 202 : 422, body: verdict };
  }

  #headAnswer(deviceId: string): { status: number; body: string } {
    if (!this.#keys.has(deviceId))
      return { status: 404, body: '{"status":"rejected","code":"not_found","error":"not registered"}' };
    const { sequence, recordHash } = this.#head(deviceId);
    const hash = recordHash.toString('hex');
    return {
      status: 200,
      body: `{"device_id":${JSON.stringify(deviceId)},"sequence":${sequence},"record_hash":"${hash}"}`,
    };
  }

  #verdict(line: string): string {
    const envelope = parseEnvelope(Buffer.from(line));
    const { record } = envelope;
    const rejection = judgePayload(envelope) ?? this.#judge(record);
    if (rejection === undefined) {
      this.admit(record);
      return JSON.stringify({ status: 'accepted', record_hash: recordHash(record).toString('hex') });
    }
    const { code, message, identical, expectedSequence } = rejection;
    const expected = expectedSequence === undefined ? undefined : Number(expectedSequence);
    return JSON.stringify({ status: 'rejected', code, error: message, identical, expected_sequence: expected });
  }

  #judge(record: DeviceRecord): Rejection | undefined {
    const key = this.#keys.get(record.deviceId);
    if (key === undefined) return reject.unknownDevice(record);
    if (!verifySignature(record, key)) return reject.invalidSignature(record);
    const head = this.#head(record.deviceId);
    const next = head.sequence + 1n;
    switch (judgeLink(head, record)) {
      case 'fits':
        return undefined;
      case 'ahead':
        return reject.invalidSequence(record, next);
      case 'wrong-link':
        return reject.invalidPreviousHash(record);
      case 'used': {
        const there = this.#chain(record.deviceId)[Number(record.sequence) - 1];
        return reject.used(record, there !== undefined && recordHash(there).equals(recordHash(record)), next);
      }
    }
  }

  #chain(deviceId: string): DeviceRecord[] {
    return this.records.get(deviceId) ?? [];
  }

  #head(deviceId: string): ChainHead {
    const last = this.#chain(deviceId).at(-1);
    return last ? { sequence: last.sequence, recordHash: recordHash(last) } : genesis;
  }
}
