import type { ForwardQueue } from './forward-queue.ts';
import type { Forwarder } from './forwarder.ts';

/** `GET /relay/status` on the operations port. */
export type RelayStatus = {
  readonly backlog: {
    readonly records: number;
    readonly bytes: number;
    readonly bytes_max: number;
    readonly oldest_age_seconds: number;
  };
  /** `trouble`: why nothing goes through at present. Times as ISO 8601. */
  readonly upstream: { readonly last_success: string | null; readonly trouble: string | null };
  /** Each device that the centre's final verdict holds; nothing of it is lost. */
  readonly held: readonly {
    readonly device_id: string;
    /** Text, since it may be above 2^53. */
    readonly sequence: string;
    readonly code: string;
    readonly error: string;
    readonly refused_at: string;
    readonly records: number;
  }[];
};

export type RelayStatusOptions = {
  readonly queue: Pick<ForwardQueue, 'figures' | 'heldDevices'>;
  readonly forwarder: Pick<Forwarder, 'lastSuccessMs' | 'trouble'>;
  readonly queueBytesMax: number;
  readonly nowMs: number;
};

export function relayStatus({ queue, forwarder, queueBytesMax, nowMs }: RelayStatusOptions): RelayStatus {
  const { records, bytes, oldestReceivedMs } = queue.figures();
  const { lastSuccessMs, trouble } = forwarder;
  // Not below zero: the clock may have been set back since.
  const ageMs = oldestReceivedMs === undefined ? 0 : Math.max(0, nowMs - oldestReceivedMs);
  return {
    backlog: { records, bytes, bytes_max: queueBytesMax, oldest_age_seconds: ageMs / 1000 },
    upstream: {
      last_success: lastSuccessMs === undefined ? null : new Date(lastSuccessMs).toISOString(),
      trouble: trouble ?? null,
    },
    held: queue.heldDevices().map(({ deviceId, sequence, code, error, refusedMs, recordsHeld }) => ({
      device_id: deviceId,
      sequence: String(sequence),
      code,
      error,
      refused_at: new Date(refusedMs).toISOString(),
      records: recordsHeld,
    })),
  };
}
