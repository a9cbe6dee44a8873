import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain, isTransient, isUnusableName, toFault } from './s3-fault.ts';

const answered = (httpStatusCode: number, name: string, more = {}) =>
  toFault(
    Object.assign(new Error('as the store says'), { name, $metadata: { httpStatusCode, requestId: 'R1' }, ...more }),
  );
const unanswered = (code: string) => toFault(Object.assign(new Error('socket hang up'), { code }));

test('a put that may have happened, or that the next attempt may carry out, is tried again', () => {
  for (const code of ['ECONNRESET', 'ECONNREFUSED', 'EPIPE']) assert(isTransient(unanswered(code)), code);
  for (const status of [409, 429, 500, 503]) assert(isTransient(answered(status, 'SlowDown')), String(status));
  for (const code of ['RequestTimeout', 'BadDigest', 'XAmzContentSHA256Mismatch'])
    assert(isTransient(answered(400, code)));
});

test('what no retry can mend is told at once', () => {
  assert(!isTransient(answered(403, 'AccessDenied')));
  assert(!isTransient(answered(404, 'NoSuchBucket')));
  assert(!isTransient(answered(501, 'NotImplemented')));
  assert(!isTransient(toFault(Object.assign(new Error('none'), { name: 'CredentialsProviderError' }))));
});

test('only a fault of the name makes a key unusable', () => {
  assert(isUnusableName(answered(400, 'KeyTooLongError')));
  assert(!isUnusableName(answered(400, 'InvalidRequest')));
});

test('the reason names the way out and the request, and no secret of the answer', () => {
  const fault = answered(403, 'SignatureDoesNotMatch', { AWSAccessKeyId: 'AKIASECRET', StringToSign: 'to-sign' });
  assert.match(explain(fault), /check AWS_ACCESS_KEY_ID .*\(SignatureDoesNotMatch, HTTP 403, request R1\)/);
  assert.doesNotMatch(JSON.stringify(fault), /AKIASECRET|to-sign/);
  assert.match(explain(answered(404, 'NoSuchBucket')), /create it/);
  assert.match(explain(unanswered('ECONNREFUSED')), /^socket hang up \(ECONNREFUSED\)$/);
  assert(explain(toFault(new Error('x'.repeat(10_000)))).length < 300);
});
