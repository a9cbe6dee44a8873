import assert from 'node:assert/strict';
import test from 'node:test';
import { parseAnswer, parseHead } from './ingest-answer.ts';
import { retryAfterMs } from './ingest-client.ts';

test('sequences beyond 2^53 lose no digit, so that a device resumes at the right one', () => {
  const hash = 'ab'.repeat(32);
  const head = parseHead(`{"device_id":"lift-01","sequence":9007199254740993,"record_hash":"${hash}"}`);
  assert.deepEqual(head, { sequence: 9007199254740993n, recordHash: Buffer.from(hash, 'hex') });
  const answer = parseAnswer(
    '{"status":"rejected","code":"invalid_sequence","error":"e","expected_sequence":9007199254740993}',
  );
  assert.deepEqual(answer, {
    status: 'rejected',
    code: 'invalid_sequence',
    error: 'e',
    expectedSequence: 9007199254740993n,
    identical: false,
  });
});

test('what is no answer of the service is told from one, and crashes nothing', () => {
  for (const text of ['', '<html>', '[]', 'null', '{"status":"fine"}', '{"status":1}']) {
    assert.equal(parseAnswer(text), undefined, text);
    assert.equal(parseHead(text), undefined, text);
  }
  assert.equal(parseHead('{"sequence":1.5,"record_hash":"00"}'), undefined);
  assert.equal(parseHead(`{"sequence":1,"record_hash":"00"}`), undefined);
});

test('Retry-After is read as seconds and as a date', () => {
  const nowMs = Date.UTC(2026, 0, 1);
  assert.equal(retryAfterMs('7', nowMs), 7000);
  assert.equal(retryAfterMs('Thu, 01 Jan 2026 00:00:30 GMT', nowMs), 30_000);
  assert.equal(retryAfterMs('Wed, 31 Dec 2025 23:59:59 GMT', nowMs), 0);
  assert.equal(retryAfterMs('soon', nowMs), undefined);
  assert.equal(retryAfterMs(null, nowMs), undefined);
});
