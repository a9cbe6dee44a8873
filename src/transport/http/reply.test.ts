import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RefusalCode, refusals, type UnavailableCode } from '../../record/rejection.ts';
import { jsonText, refusal, unavailableReply, verdictReply } from './reply.ts';

test('a 64-bit number is written digit for digit, and text is escaped', () => {
  const body = { sequence: 2n ** 63n - 1n, error: 'a "b"\n', identical: true, retry_after_seconds: 1 };
  assert.equal(
    jsonText(body),
    '{"sequence":9223372036854775807,"error":"a \\"b\\"\\n","identical":true,"retry_after_seconds":1}',
  );
});

test('an accepted record is answered 202 with its hash', () => {
  const recordHash = Buffer.alloc(32, 0xab);
  assert.deepEqual(verdictReply({ status: 'accepted', recordHash }), {
    status: 202,
    body: { status: 'accepted', record_hash: 'ab'.repeat(32) },
  });
});

test('a refusal carries what the device needs to go on, and no member for what does not apply', () => {
  const rejection = { code: 'duplicate_record', message: 'text', expectedSequence: 8n, identical: true } as const;
  assert.deepEqual(verdictReply({ status: 'rejected', rejection }), {
    status: 422,
    body: { status: 'rejected', code: 'duplicate_record', error: 'text', expected_sequence: 8n, identical: true },
  });
  const bare = verdictReply({ status: 'rejected', rejection: { code: 'invalid_signature', message: 'text' } });
  assert.deepEqual(bare.body, { status: 'rejected', code: 'invalid_signature', error: 'text' });
});

test('Retry-After is in whole seconds, never 0 and never a minute past, whatever is left of a wait', () => {
  const seconds = (retryAfterMs?: number) =>
    verdictReply({ status: 'unavailable', code: 'rate_limited', ...(retryAfterMs !== undefined && { retryAfterMs }) })
      .body.retry_after_seconds;
  assert.deepEqual([undefined, 0, 1, 1000, 1001, 59_001, 3_600_000].map(seconds), [1, 1, 1, 1, 2, 60, 60]);
});

const codes = Object.keys(refusals) as RefusalCode[];

test('what is ours is always told as such, with Retry-After; what is theirs never is', () => {
  for (const code of codes) {
    const ours = refusals[code].kind === 'unavailable';
    const { status, body, headers } = ours ? unavailableReply(code as UnavailableCode) : refusal(code, 'text');
    assert.equal(status, refusals[code].status);
    assert.equal(body.status, refusals[code].kind);
    assert.equal(body.code, code);
    assert.equal(status === 429 || status >= 500, ours, code);
    assert.equal(headers?.['Retry-After'], ours ? String(body.retry_after_seconds) : undefined);
  }
});
