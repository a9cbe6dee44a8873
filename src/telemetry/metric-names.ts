/**
 * Every metric of ours, in one table: alerts, dashboards and docs/operations.md go by these names. The process and
 * event-loop metrics beside them are prom-client's defaults (`process_*`, `nodejs_*`).
 */
export const metricTable = {
  accepted: {
    name: 'edgesentry_ingest_accepted_total',
    help: 'Records accepted: payload and ledger row durable.',
  },
  rejected: {
    name: 'edgesentry_ingest_rejected_total',
    help: 'Final refusals, by refusal code.',
  },
  unavailable: {
    name: 'edgesentry_ingest_unavailable_total',
    help: 'Answers that decided nothing and asked to send again, by refusal code.',
  },
  error: {
    name: 'edgesentry_ingest_error_total',
    help: 'Failures of ours, by component.',
  },
  chainBreak: {
    name: 'edgesentry_chain_break_total',
    help: 'Refused records that do not continue the chain of their device; identical retries are not counted.',
  },
  signatureFail: {
    name: 'edgesentry_signature_fail_total',
    help: 'Records whose signature no current key of their device confirms.',
  },
  equivocation: {
    name: 'edgesentry_equivocation_total',
    help: 'Correctly signed records that claim a sequence which another record holds.',
  },
  stageDuration: {
    name: 'edgesentry_ingest_stage_duration_seconds',
    help: 'Time a record spent in each stage of admission.',
  },
  commitRows: {
    name: 'edgesentry_commit_batch_rows',
    help: 'Rows of one group commit: records and refusals.',
  },
  fenceConflict: {
    name: 'edgesentry_fence_conflict_total',
    help: 'Runs that lost their place in the chain to another replica and were judged again.',
  },
  headLookup: {
    name: 'edgesentry_head_cache_lookup_total',
    help: 'Chain heads looked for in memory, by result.',
  },
  recordsInFlight: {
    name: 'edgesentry_ingest_in_flight_records',
    help: 'Records admitted and not yet answered.',
  },
  payloadBytesInFlight: {
    name: 'edgesentry_ingest_in_flight_payload_bytes',
    help: 'Payload bytes of the records in flight.',
  },
  commitsQueued: {
    name: 'edgesentry_commit_queue_depth',
    help: 'Runs and refusals that wait for the next group commit.',
  },
  poolConnections: {
    name: 'edgesentry_pg_pool_connections',
    help: 'Open connections to PostgreSQL, by pool and state (busy or idle).',
  },
  poolWaiting: {
    name: 'edgesentry_pg_pool_waiting',
    help: 'Callers that wait for a connection, by pool.',
  },
  httpDuration: {
    name: 'edgesentry_http_request_duration_seconds',
    help: 'Time from request to response, by method, route and status code.',
  },
  rateLimited: {
    name: 'edgesentry_rate_limited_total',
    help: 'Records and requests past a rate, by limit.',
  },
  clockSkew: {
    name: 'edgesentry_record_clock_skew_seconds',
    help: "Arrival minus the record's own time: negative where the device's clock is ahead.",
  },
  clockSkewFlagged: {
    name: 'edgesentry_record_clock_skew_flagged_total',
    help: 'Records admitted with a time that is off by more than the tolerance, by direction (ahead or behind).',
  },
  connections: {
    name: 'edgesentry_connections_open',
    help: 'Connections to the ingest port, before and after their TLS handshake.',
  },
  connectionRefused: {
    name: 'edgesentry_connection_refused_total',
    help: 'Connections refused before there was a request, by reason.',
  },
  certificateExpiry: {
    name: 'edgesentry_tls_certificate_expiry_timestamp_seconds',
    help: 'When the certificate that is served ends, in seconds since the Unix epoch.',
  },
  certificateReload: {
    name: 'edgesentry_tls_certificate_reload_total',
    help: 'Changed certificate files, by result (swapped or refused).',
  },
  logLinesDropped: {
    name: 'edgesentry_log_lines_dropped_total',
    help: 'Log lines dropped because the log was not read fast enough.',
  },
  buildInfo: {
    name: 'edgesentry_build_info',
    help: 'Always 1; the labels say what runs.',
  },
} as const satisfies Record<string, { name: string; help: string }>;
