import { logMessages } from './log-messages.ts';
import { LogThrottle } from './log-throttle.ts';
import type { Logger } from './logger.ts';

/** A flood of connections is the usual case; one line a second and reason tells of it, with the count of those held back. */
const repeatIntervalMs = 1000;

export type ConnectionLogOptions<Reason extends string> = {
  readonly logger: Logger;
  readonly count: (reason: Reason) => void;
  /** Milliseconds; only differences count. */
  readonly now: () => number;
};

/** Counts connections that were refused before there was a request, and logs them. */
export function connectionLog<Reason extends string>({ logger, count, now }: ConnectionLogOptions<Reason>) {
  const throttle = new LogThrottle(repeatIntervalMs, now);
  return {
    refused(reason: Reason, address: string | undefined): void {
      count(reason);
      const suppressed = throttle.admit(reason);
      if (suppressed !== undefined)
        logger.warn({ reason, source_address: address, suppressed }, logMessages.connectionRefused);
    },
  };
}
