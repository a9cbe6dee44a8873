import type { IncomingMessage, ServerResponse } from 'node:http';
import { createGunzip } from 'node:zlib';
import type { RefusalCode } from '../../record/rejection.ts';
import type { BodyShare } from './body-budget.ts';

/** Why a body cannot be read: `code` as in rejection.ts. */
export class BodyError extends Error {
  override readonly name = 'BodyError';
  readonly code: RefusalCode;
  constructor(code: RefusalCode, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * The request's body, expanded, at most `bytesMax` of it.
 * @param share holds what has been read, and goes on holding it
 * @throws BodyError, at once where Content-Length already tells that it is too large; BodyBudgetExceeded
 */
export async function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  bytesMax: number,
  share: BodyShare,
): Promise<Buffer> {
  const tooLarge = () => new BodyError('body_too_large', `the body is larger than ${bytesMax} bytes`);
  if (Number(request.headers['content-length']) > bytesMax) throw tooLarge();
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of bodyOf(request, response)) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw tooLarge();
    share.hold(bytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}

/** The request's body as it comes, expanded. @throws BodyError when it cannot be expanded */
export function bodyOf(request: IncomingMessage, response: ServerResponse): AsyncIterable<Buffer> {
  const encoding = request.headers['content-encoding']?.toLowerCase() ?? 'identity';
  if (encoding !== 'identity' && encoding !== 'gzip') {
    const what = `Content-Encoding ${encoding.slice(0, 100)} is not supported: send gzip or none`;
    throw new BodyError('unsupported_media_type', what);
  }
  if (/\b100-continue\b/i.test(request.headers.expect ?? '')) response.writeContinue();
  return chunksOf(request, encoding === 'gzip');
}

async function* chunksOf(request: IncomingMessage, gzip: boolean): AsyncGenerator<Buffer> {
  try {
    yield* gzip ? expanded(request) : request.iterator({ destroyOnReturn: false });
  } finally {
    // What is left is read and dropped: a sender that writes all before it reads would never see why it was refused.
    request.resume();
  }
}

async function* expanded(request: IncomingMessage): AsyncGenerator<Buffer> {
  const gunzip = createGunzip();
  // A connection that breaks does not end the pipe.
  request.once('error', (error) => gunzip.destroy(error));
  try {
    yield* request.pipe(gunzip);
  } catch (error) {
    throw new BodyError('bad_http', `the gzip body is broken: ${(error as Error).message}`);
  }
}
