import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refusals } from '../record/rejection.ts';
import { createMetrics } from './metrics.ts';

/** The samples of an exposition text by their series, such as `name{label="value"}`. */
async function scrape(metrics: ReturnType<typeof createMetrics>): Promise<Map<string, number>> {
  const lines = (await metrics.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

test('alerts on rate() see the first event: every known label value starts at zero', async () => {
  const samples = await scrape(createMetrics('1.2.3'));
  for (const [code, { kind }] of Object.entries(refusals)) {
    const series =
      kind === 'rejected'
        ? `edgesentry_ingest_rejected_total{reason="${code}"}`
        : `edgesentry_ingest_unavailable_total{code="${code}"}`;
    assert.equal(samples.get(series), 0, series);
  }
  for (const series of [
    'edgesentry_ingest_accepted_total',
    'edgesentry_chain_break_total',
    'edgesentry_signature_fail_total',
    'edgesentry_equivocation_total',
    'edgesentry_fence_conflict_total',
    'edgesentry_log_lines_dropped_total',
    'edgesentry_ingest_error_total{component="ledger"}',
    'edgesentry_ingest_error_total{component="payload_store"}',
    'edgesentry_ingest_error_total{component="internal"}',
    'edgesentry_head_cache_lookup_total{result="hit"}',
    'edgesentry_head_cache_lookup_total{result="miss"}',
    'edgesentry_ingest_stage_duration_seconds_count{stage="verify"}',
    'edgesentry_ingest_stage_duration_seconds_count{stage="commit"}',
    'edgesentry_commit_batch_rows_count',
  ]) {
    assert.equal(samples.get(series), 0, series);
  }
  assert.equal(samples.get(`edgesentry_build_info{version="1.2.3",node="${process.versions.node}"}`), 1);
});

test('a device that only repeats itself raises no alarm about its chain', async () => {
  const metrics = createMetrics('0');
  metrics.rejected('duplicate_record');
  metrics.rejected('predecessor_rejected');
  const samples = await scrape(metrics);
  assert.equal(samples.get('edgesentry_ingest_rejected_total{reason="duplicate_record"}'), 1);
  assert.equal(samples.get('edgesentry_chain_break_total'), 0);
});

test('a broken chain, an equivocation and a bad signature each raise their own alarm', async () => {
  const metrics = createMetrics('0');
  for (const code of ['invalid_sequence', 'invalid_previous_hash', 'equivocation', 'invalid_signature'] as const) {
    metrics.rejected(code);
  }
  const samples = await scrape(metrics);
  assert.equal(samples.get('edgesentry_chain_break_total'), 3);
  assert.equal(samples.get('edgesentry_equivocation_total'), 1);
  assert.equal(samples.get('edgesentry_signature_fail_total'), 1);
});

test('stages, commits and requests fall into the buckets of their seconds and rows', async () => {
  const metrics = createMetrics('0');
  metrics.stage('commit', 0.003);
  metrics.committed(200, 2);
  metrics.httpRequest({ method: 'POST', route: '/api/v1/ingest', statusCode: 202, seconds: 0.02 });
  const samples = await scrape(metrics);
  assert.equal(samples.get('edgesentry_ingest_stage_duration_seconds_bucket{le="0.0025",stage="commit"}'), 0);
  assert.equal(samples.get('edgesentry_ingest_stage_duration_seconds_bucket{le="0.005",stage="commit"}'), 1);
  assert.equal(samples.get('edgesentry_commit_batch_rows_bucket{le="256"}'), 1);
  assert.equal(samples.get('edgesentry_fence_conflict_total'), 2);
  const request = 'method="POST",route="/api/v1/ingest",status_code="202"';
  assert.equal(samples.get(`edgesentry_http_request_duration_seconds_count{${request}}`), 1);
});

test('queue and pool figures are those of the moment of the scrape', async () => {
  const metrics = createMetrics('0');
  const ingest = { recordsInFlight: 1, payloadBytesInFlight: 2, commitsQueued: 3 };
  const pool = { totalCount: 5, idleCount: 2, waitingCount: 7 };
  metrics.watchIngest(ingest);
  metrics.watchPool('admission', pool);
  ingest.commitsQueued = 4;
  const samples = await scrape(metrics);
  assert.equal(samples.get('edgesentry_ingest_in_flight_records'), 1);
  assert.equal(samples.get('edgesentry_ingest_in_flight_payload_bytes'), 2);
  assert.equal(samples.get('edgesentry_commit_queue_depth'), 4);
  assert.equal(samples.get('edgesentry_pg_pool_connections{pool="admission",state="busy"}'), 3);
  assert.equal(samples.get('edgesentry_pg_pool_connections{pool="admission",state="idle"}'), 2);
  assert.equal(samples.get('edgesentry_pg_pool_waiting{pool="admission"}'), 7);
});
