import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Sender, Unavailable } from '../ingest/ports.ts';
import type { DeviceRecord } from '../record/record.ts';
import { reject } from '../record/rejection.ts';
import { createLoggerOn } from './logger.ts';
import { createMetrics } from './metrics.ts';
import { TelemetryObserver } from './observer.ts';

const record: DeviceRecord = {
  deviceId: 'lift-01',
  sequence: 7n,
  timestampMs: 1n,
  payloadHash: Buffer.alloc(32),
  signature: Buffer.alloc(64),
  prevRecordHash: Buffer.alloc(32),
  objectRef: 'lift-01/7',
};
const http: Sender = { transport: 'http', address: '192.0.2.7', identities: undefined };
const mqtt: Sender = { transport: 'mqtt', address: undefined, identities: undefined };

function setUp() {
  const lines: Record<string, unknown>[] = [];
  const clock = { nowMs: 0 };
  const metrics = createMetrics('0');
  const logger = createLoggerOn({ write: (line) => void lines.push(JSON.parse(line)) }, 'info');
  const observer = new TelemetryObserver({ metrics, logger, now: () => clock.nowMs });
  const counted = async (series: string) => {
    const line = (await metrics.metrics()).split('\n').find((text) => text.startsWith(`${series} `));
    return Number(line?.slice(series.length + 1));
  };
  return { observer, lines, clock, counted };
}

function withoutTime(line: Record<string, unknown> | undefined) {
  const { time: _, ...rest } = line ?? {};
  return rest;
}

test('an accepted record can be found in the log by device, sequence, hash and decision', async () => {
  const { observer, lines, counted } = setUp();
  observer.decided({ status: 'accepted', recordHash: Buffer.alloc(32, 0xab) }, record, http, 'decision-1');
  assert.deepEqual(lines.map(withoutTime), [
    {
      level: 'info',
      message: 'record accepted',
      device_id: 'lift-01',
      sequence: 7,
      record_hash: 'ab'.repeat(32),
      decision_id: 'decision-1',
      transport: 'http',
      source_address: '192.0.2.7',
    },
  ]);
  assert.equal(await counted('edgesentry_ingest_accepted_total'), 1);
});

test('a refused record is logged with the message and reason that runbooks search for', async () => {
  const { observer, lines, counted } = setUp();
  observer.decided({ status: 'rejected', rejection: reject.invalidSignature(record) }, record, http, 'decision-1');
  observer.decided({ status: 'rejected', rejection: reject.unknownDevice(record) }, record, mqtt, 'decision-2');
  assert.deepEqual(
    lines.map(({ level, message, reason, code }) => ({ level, message, reason, code })),
    [
      { level: 'warn', message: 'record rejected', reason: 'invalid signature', code: 'invalid_signature' },
      { level: 'warn', message: 'MQTT record rejected', reason: 'unknown device', code: 'unknown_device' },
    ],
  );
  assert.equal(await counted('edgesentry_signature_fail_total'), 1);
  assert.equal(await counted('edgesentry_ingest_rejected_total{reason="unknown_device"}'), 1);
});

test('an outage under load is counted in full and does not flood the log', async () => {
  const { observer, lines, clock, counted } = setUp();
  const error = new Unavailable('ledger', 'cannot connect', { cause: new Error('connect ECONNREFUSED') });
  for (let i = 0; i < 500; i++) {
    observer.failed(error);
    observer.decided({ status: 'unavailable', code: 'ledger_unavailable' }, record, http, '');
  }
  assert.deepEqual(
    lines.map(({ message }) => message),
    ['component failed', 'record not decided'],
  );
  clock.nowMs = 1000;
  observer.failed(error);
  assert.equal(lines[2]?.suppressed, 499);
  assert.equal(lines[2]?.component, 'ledger');
  assert.match(JSON.stringify(lines[2]?.error), /cannot connect.*connect ECONNREFUSED/);
  assert.equal(await counted('edgesentry_ingest_error_total{component="ledger"}'), 501);
  assert.equal(await counted('edgesentry_ingest_unavailable_total{code="ledger_unavailable"}'), 500);
});

test('a flood of malformed requests is counted in full and does not flood the log', async () => {
  const { observer, lines, counted } = setUp();
  for (let i = 0; i < 100; i++) observer.requestRefused('malformed_json', 'unexpected end', http);
  observer.requestRefused('draining', 'this replica is stopping', http);
  assert.deepEqual(
    lines.map(({ message, reason }) => `${message}: ${reason}`),
    ['request refused: malformed JSON', 'request refused: draining'],
  );
  assert.equal(await counted('edgesentry_ingest_rejected_total{reason="malformed_json"}'), 100);
  assert.equal(await counted('edgesentry_ingest_unavailable_total{code="draining"}'), 1);
});

test('a flood past a rate is counted in full by its limit, and a line a limit tells of it', async () => {
  const { observer, lines, counted } = setUp();
  for (let i = 0; i < 100; i++) observer.requestLimited('source', http);
  observer.requestLimited('pod', mqtt);
  assert.deepEqual(
    lines.map(({ message, code, limit, source_address }) => ({ message, code, limit, source_address })),
    [
      { message: 'request refused', code: 'rate_limited', limit: 'source', source_address: '192.0.2.7' },
      { message: 'request refused', code: 'rate_limited', limit: 'pod', source_address: undefined },
    ],
  );
  // Of a record, the verdict tells as well.
  observer.limited('device');
  observer.decided({ status: 'unavailable', code: 'rate_limited', retryAfterMs: 100 }, record, http, '');
  assert.equal(lines[2]?.device_id, 'lift-01');
  assert.equal(await counted('edgesentry_rate_limited_total{limit="source"}'), 100);
  assert.equal(await counted('edgesentry_rate_limited_total{limit="device"}'), 1);
  assert.equal(await counted('edgesentry_ingest_unavailable_total{code="rate_limited"}'), 102);
});

test('stage times in milliseconds become seconds', async () => {
  const { observer, counted } = setUp();
  observer.stage('payload_put', 1000, 1250, http);
  assert.equal(await counted('edgesentry_ingest_stage_duration_seconds_sum{stage="payload_put"}'), 0.25);
});
