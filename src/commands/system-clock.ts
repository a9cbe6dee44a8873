import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../ingest/ports.ts';

/** How long fractions are counted from one reading of the wall clock, so that a correction of it is followed. */
const anchorMs = 10_000;

let anchor = { wallMs: Date.now(), monotonicMs: performance.now() };

/** The wall clock, with the fractions of a millisecond that Date.now has not and a stage's duration needs. */
function now(): number {
  const monotonicMs = performance.now();
  if (monotonicMs - anchor.monotonicMs > anchorMs) anchor = { wallMs: Date.now(), monotonicMs };
  return anchor.wallMs + (monotonicMs - anchor.monotonicMs);
}

export const systemClock: Clock = {
  now,
  sleep: (ms) => sleep(ms),
  defer: setImmediate,
  uuid: () => randomUUID(),
};
