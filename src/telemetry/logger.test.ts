import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLoggerOn } from './logger.ts';

function capture() {
  const lines: string[] = [];
  return { lines, logger: createLoggerOn({ write: (line) => void lines.push(line) }, 'info') };
}

const secret = 'hunter2-c0ffee';

test('no secret or payload reaches the log, at the top of a line or one level down', () => {
  const { lines, logger } = capture();
  const names = ['authorization', 'password', 'private_key', 'private_key_hex', 'secretAccessKey', 'raw_payload_hex'];
  for (const name of names) {
    logger.info({ [name]: secret }, 'top');
    logger.info({ config: { [name]: secret }, headers: { [name]: secret } }, 'nested');
  }
  logger.info({ record: { device_id: 'lift-01', payload: secret } }, 'whole record');
  assert.equal(lines.length, 2 * names.length + 1);
  for (const line of lines) {
    assert.ok(!line.includes(secret), line);
    assert.ok(line.includes('[Redacted]'), line);
  }
});

test('an error is logged without what libraries hang on it and without the password of a URL', () => {
  const { lines, logger } = capture();
  const cause = new Error(`cannot reach postgres://eds:${secret}@db:5432/eds?sslmode=verify-full`);
  const error = Object.assign(new Error('commit failed', { cause }), {
    code: 'ECONNREFUSED',
    $response: { headers: { 'x-amz-security-token': secret } },
  });
  logger.error({ error }, 'component failed');
  const [line = ''] = lines;
  assert.ok(!line.includes(secret), line);
  const { error: logged } = JSON.parse(line);
  assert.equal(logged.message, 'commit failed');
  assert.equal(logged.code, 'ECONNREFUSED');
  assert.equal(logged.cause.message, 'cannot reach postgres://[Redacted]@db:5432/eds?sslmode=verify-full');
});

test('a password with @ in it, and a circular cause, are no way around that', () => {
  const { lines, logger } = capture();
  const error = new Error(`postgres://eds:p@${secret}@db/eds`);
  error.cause = error;
  logger.error(error, 'failed');
  assert.equal(lines.length, 1);
  assert.ok(!lines[0]?.includes(secret), lines[0]);
});

test('a line has its level as text, an ISO time and its text under message', () => {
  const { lines, logger } = capture();
  logger.warn({ sequence: 2n ** 63n - 1n }, 'record rejected');
  const line = lines[0] ?? '';
  const { level, time, message } = JSON.parse(line);
  assert.deepEqual({ level, message }, { level: 'warn', message: 'record rejected' });
  assert.equal(new Date(time).toISOString(), time);
  assert.ok(line.includes('"sequence":9223372036854775807'), 'digits of a large sequence are kept');
});
