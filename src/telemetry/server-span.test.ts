import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { context, diag, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { type HttpServerAttributes, startServerSpan } from './server-span.ts';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const parentId = '00f067aa0ba902b7';
const attributes: HttpServerAttributes = {
  'http.request.method': 'POST',
  'http.route': '/api/v1/ingest',
  'url.path': '/api/v1/ingest',
  'url.scheme': 'http',
};
const start = (headers = {}) => startServerSpan('POST /api/v1/ingest', headers, attributes);

let exporter: InMemorySpanExporter;
let sdk: NodeSDK;

beforeEach(() => {
  exporter = new InMemorySpanExporter();
  sdk = new NodeSDK({
    spanProcessors: [new SimpleSpanProcessor(exporter)],
    metricReaders: [],
    logRecordProcessors: [],
    autoDetectResources: false,
  });
  sdk.start();
});

afterEach(async () => {
  await sdk.shutdown();
  for (const api of [trace, propagation, context, diag]) api.disable();
});

test("a device's trace goes on through the request to each stage of its record", () => {
  const span = start({ traceparent: `00-${traceId}-${parentId}-01` });
  const startMs = Date.now();
  span.stage('verify', startMs, startMs + 2);
  span.stage('commit', startMs + 2, startMs + 12);
  span.end(202);
  const [verify, commit, server] = exporter.getFinishedSpans();
  assert.deepEqual([verify?.name, commit?.name, server?.name], ['verify', 'commit', 'POST /api/v1/ingest']);
  assert.equal(server?.kind, SpanKind.SERVER);
  assert.equal(server?.spanContext().traceId, traceId);
  assert.equal(server?.parentSpanContext?.spanId, parentId);
  assert.deepEqual(server?.attributes, { ...attributes, 'http.response.status_code': 202 });
  for (const child of [verify, commit]) {
    assert.equal(child?.parentSpanContext?.spanId, server?.spanContext().spanId);
    assert.equal(child?.spanContext().traceId, traceId);
  }
  assert.deepEqual(commit?.duration, [0, 10_000_000]);
});

test('the log line and the outgoing request name the same span', () => {
  const span = start({ traceparent: `00-${traceId}-${parentId}-01` });
  const headers: Record<string, string> = {};
  span.inject(headers);
  assert.equal(span.ids?.trace_id, traceId);
  assert.equal(headers.traceparent, `00-${traceId}-${span.ids?.span_id}-01`);
});

test('a sender that does not sample costs no spans but keeps its trace id', () => {
  const span = start({ traceparent: `00-${traceId}-${parentId}-00` });
  span.stage('verify', Date.now(), Date.now());
  span.end(202);
  assert.equal(exporter.getFinishedSpans().length, 0);
  assert.equal(span.ids?.trace_id, traceId);
});

test('a malformed trace header is no reason to fail: the request begins a trace of its own', () => {
  const span = start({ traceparent: 'not-a-trace' });
  span.end(202);
  const [server] = exporter.getFinishedSpans();
  assert.equal(server?.parentSpanContext, undefined);
});

test('failures of ours mark the span, refusals do not', () => {
  start().end(422);
  start().end(503);
  const codes = exporter.getFinishedSpans().map(({ status }) => status.code);
  assert.deepEqual(codes, [SpanStatusCode.UNSET, SpanStatusCode.ERROR]);
});

test('a batch of thousands does not make a trace of thousands of spans', () => {
  const span = start();
  for (let i = 0; i < 4000; i++) span.stage('verify', Date.now(), Date.now());
  span.end(200);
  const spans = exporter.getFinishedSpans();
  assert.equal(spans.length, 129);
  assert.equal(spans.at(-1)?.attributes['edgesentry.stage_spans_omitted'], 4000 - 128);
});
