/** POST /api/v1/ingest/batch and its verdicts. */
import assert from 'node:assert/strict';

export type Verdict = {
  readonly status: string;
  readonly code?: string;
  readonly error?: string;
  readonly record_hash?: string;
  readonly identical?: boolean;
};

export const batchRoute = '/api/v1/ingest/batch';
export const ndjson = { 'Content-Type': 'application/x-ndjson' };

export async function postBatch(
  url: string,
  body: string | Buffer,
  headers: Record<string, string> = {},
): Promise<Verdict[]> {
  const response = await fetch(url + batchRoute, {
    method: 'POST',
    headers: { ...ndjson, ...headers },
    body: new Uint8Array(Buffer.from(body)),
  });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'application/x-ndjson; charset=utf-8');
  return verdictsOf(await response.text());
}

export function verdictsOf(text: string): Verdict[] {
  assert.ok(text === '' || text.endsWith('\n'));
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Verdict);
}

/** `accepted`, or the code of what is not. */
export const outcome = ({ status, code, identical }: Verdict) => (identical ? 'identical' : (code ?? status));
export const outcomes = (verdicts: readonly Verdict[]) => verdicts.map(outcome);
export const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);
