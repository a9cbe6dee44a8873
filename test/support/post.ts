/** POST /api/v1/ingest and what its answers have in common. */
import assert from 'node:assert/strict';
import type { TestService } from './service.ts';

export type Answer = { readonly status: number; readonly headers: Headers; readonly body: Record<string, unknown> };

export const ingestRoute = '/api/v1/ingest';

export async function post(
  service: TestService,
  body: string | Buffer,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(service.url + ingestRoute, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: new Uint8Array(Buffer.from(body)),
  });
  return readAnswer(response);
}

/** Whatever the answer, it is JSON. */
async function readAnswer(response: Response): Promise<Answer> {
  assert.equal(response.headers.get('content-type'), 'application/json; charset=utf-8');
  const body = (await response.json()) as Record<string, unknown>;
  return { status: response.status, headers: response.headers, body };
}

export function assertRefused(
  answer: Pick<Answer, 'status' | 'body'>,
  status: number,
  code: string,
  error: RegExp,
): void {
  assert.match(String(answer.body.error), error);
  assert.deepEqual(
    { status: answer.status, body: answer.body },
    { status, body: { ...answer.body, status: 'rejected', code } },
  );
  assert.doesNotMatch(JSON.stringify(answer.body), /node_modules|\.ts:|<html/i);
}

/** A sound record still goes in: what came before has cost nothing. */
export async function assertStillAccepts(service: TestService, id: string): Promise<void> {
  const device = await service.device(id);
  assert.equal((await post(service, device.nextBody())).status, 202);
  assert.deepEqual(service.errors, []);
}
