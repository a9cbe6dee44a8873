import { randomBytes } from 'node:crypto';
import type { ChainHead } from '../record/record.ts';
import { type IngestAnswer, parseAnswer, parseHead } from './ingest-answer.ts';

/** The service, or the way to it, is down or busy: nothing is known to have been decided, and the same again is safe. */
export class ServiceUnavailable extends Error {
  override readonly name = 'ServiceUnavailable';
  readonly retryAfterMs: number | undefined;
  constructor(message: string, retryAfterMs?: number, options?: ErrorOptions) {
    super(message, options);
    this.retryAfterMs = retryAfterMs;
  }
}

/** The service refused the request as a whole; the same again would be refused again. */
export class RequestRefused extends Error {
  override readonly name = 'RequestRefused';
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Longer than any verdict takes; a request past it has lost its way. */
const requestDeadlineMs = 60_000;
/** A batch's verdicts are some hundred bytes a line; what is longer is another server's page. */
const answerBytesMax = 16 * 1024 * 1024;

export type IngestClientOptions = {
  /** Of the service; a path in it is kept, for one behind an ingress. */
  readonly url: URL;
  readonly signal: AbortSignal;
};

/** The ingest API over HTTP. One attempt a call: who calls decides about the next. */
export class IngestClient {
  readonly #base: URL;
  readonly #signal: AbortSignal;
  /** Whether the service has ever answered at this address. */
  #found = false;

  constructor({ url, signal }: IngestClientOptions) {
    this.#base = new URL(url);
    if (!this.#base.pathname.endsWith('/')) this.#base.pathname += '/';
    this.#signal = signal;
  }

  /** The last link that the service has; undefined when it does not know the device. @throws ServiceUnavailable RequestRefused */
  async readHead(deviceId: string): Promise<ChainHead | undefined> {
    const { status, text } = await this.#request(`api/v1/devices/${encodeURIComponent(deviceId)}/head`);
    const answer = this.#answerOf(text);
    // Any other server's 404 is not in the API's form.
    if (status === 404 && answer?.status === 'rejected') return undefined;
    const head = status === 200 ? parseHead(text) : undefined;
    if (head === undefined) throw this.#refused(status, answer);
    this.#found = true;
    return head;
  }

  /** @param line an envelope as JSON. @throws ServiceUnavailable RequestRefused */
  async send(line: string): Promise<IngestAnswer> {
    const { status, text } = await this.#request('api/v1/ingest', 'application/json', line);
    const answer = this.#answerOf(text);
    // 202 and 422 speak of the record, as does 400; other refusals are of the request, whatever record it carried.
    if (answer === undefined || (status !== 202 && status !== 422 && status !== 400))
      throw this.#refused(status, answer);
    return answer;
  }

  /** One answer a line, in order. @param lines envelopes as JSON. @throws ServiceUnavailable RequestRefused */
  async sendBatch(lines: readonly string[]): Promise<IngestAnswer[]> {
    const body = `${lines.join('\n')}\n`;
    const { status, text } = await this.#request('api/v1/ingest/batch', 'application/x-ndjson', body);
    if (status !== 200) throw this.#refused(status, this.#answerOf(text));
    const answers = text.split('\n').filter(Boolean).map(parseAnswer);
    // Fewer than asked: the service ended while it answered. The records it has will be told as identical.
    if (answers.length !== lines.length || answers.includes(undefined))
      throw new ServiceUnavailable(`${answers.length} answers came to ${lines.length} records`);
    return answers.filter((answer) => answer !== undefined);
  }

  async #request(path: string, contentType?: string, body?: string): Promise<{ status: number; text: string }> {
    const trace = traceparent();
    const headers = { traceparent: trace.header, ...(contentType && { 'content-type': contentType }) };
    // Not AbortSignal.timeout, whose timer would outlive the request: at a thousand requests a second that adds up.
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(new Error(`none within ${requestDeadlineMs} ms`)), requestDeadlineMs);
    const signal = AbortSignal.any([this.#signal, deadline.signal]);
    let response: Response;
    let text: string;
    try {
      const init = { headers, signal, redirect: 'manual' as const };
      response = await fetch(new URL(path, this.#base), body === undefined ? init : { ...init, method: 'POST', body });
      text = await boundedText(response);
    } catch (error) {
      this.#signal.throwIfAborted();
      throw new ServiceUnavailable(`no answer from ${this.#base.origin}: ${reason(error)}`, undefined, {
        cause: error,
      });
    } finally {
      clearTimeout(timer);
    }
    if (response.status >= 500 || response.status === 429 || response.status === 408) {
      const answer = parseAnswer(text);
      const said = answer && answer.status !== 'accepted' ? `${answer.code}: ${answer.error}` : 'no reason given';
      const retryAfter = retryAfterMs(response.headers.get('retry-after'), Date.now());
      throw new ServiceUnavailable(`${response.status} ${said} (trace ${trace.id})`, retryAfter);
    }
    return { status: response.status, text };
  }

  #answerOf(text: string): IngestAnswer | undefined {
    const answer = parseAnswer(text);
    this.#found ||= answer !== undefined;
    return answer;
  }

  #refused(status: number, answer: IngestAnswer | undefined): RequestRefused | ServiceUnavailable {
    if (answer && answer.status !== 'accepted') return new RequestRefused(status, answer.code, answer.error);
    // An ingress whose service has no ready pod answers for it, some with 404. The address was right before.
    if (this.#found) return new ServiceUnavailable(`status ${status} came from something in front of the service`);
    return new RequestRefused(
      status,
      `http_${status}`,
      `status ${status} is no answer of an EdgeSentry service: check the address`,
    );
  }
}

async function boundedText(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.length;
    if (bytes > answerBytesMax) throw new Error(`an answer of more than ${answerBytesMax} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** fetch says "fetch failed" and keeps the reason in the cause. */
function reason(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) return String(cause);
  return cause.message || ('code' in cause ? String(cause.code) : cause.name);
}

/** Seconds or an HTTP date (RFC 9110 section 10.2.3) as milliseconds from `nowMs`. */
export function retryAfterMs(header: string | null, nowMs: number): number | undefined {
  if (header === null) return undefined;
  if (/^[0-9]+$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

/** W3C Trace Context level 1, section 3.2: a fresh trace, sampled, so that the service's spans can be found by it. */
function traceparent(): { id: string; header: string } {
  const id = randomBytes(16).toString('hex');
  return { id, header: `00-${id}-${randomBytes(8).toString('hex')}-01` };
}
