import { Gauge, Registry } from 'prom-client';
import type { RelayStatus } from './relay-status.ts';

/** The relay's own metrics, beside those of admission. Read when scraped. */
export const relayMetrics = {
  backlogRecords: {
    name: 'edgesentry_relay_backlog_records',
    help: 'Records that wait for the centre, held ones included.',
    read: ({ backlog }: RelayStatus) => backlog.records,
  },
  backlogBytes: {
    name: 'edgesentry_relay_backlog_bytes',
    help: 'Bytes of the records and payloads that wait for the centre.',
    read: ({ backlog }: RelayStatus) => backlog.bytes,
  },
  backlogBytesMax: {
    name: 'edgesentry_relay_backlog_bytes_max',
    help: 'Bound on the bytes that wait; at it, devices are answered 503.',
    read: ({ backlog }: RelayStatus) => backlog.bytes_max,
  },
  oldestAge: {
    name: 'edgesentry_relay_oldest_record_age_seconds',
    help: 'How long the oldest waiting record has waited; 0 when none waits.',
    read: ({ backlog }: RelayStatus) => backlog.oldest_age_seconds,
  },
  lastSuccess: {
    name: 'edgesentry_relay_last_success_timestamp_seconds',
    help: 'When the centre last took a record, seconds since the Unix epoch; 0 when it has not since the start.',
    read: ({ upstream }: RelayStatus) =>
      upstream.last_success === null ? 0 : Date.parse(upstream.last_success) / 1000,
  },
  heldDevices: {
    name: 'edgesentry_relay_held_devices',
    help: 'Devices whose records wait behind one that the centre has refused for good.',
    read: ({ held }: RelayStatus) => held.length,
  },
} as const;

/** The exposition text of them, to stand behind that of admission. */
export function createRelayMetrics(status: () => RelayStatus): () => Promise<string> {
  const registry = new Registry();
  for (const { name, help, read } of Object.values(relayMetrics)) {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read(status()));
      },
    });
  }
  return () => registry.metrics();
}
