import { setTimeout as sleep } from 'node:timers/promises';

const startMs = performance.now();

/** A line for whoever watches: the runner shows a test's diagnostics only when the test is over. */
export function say(line: string): void {
  const seconds = Math.round((performance.now() - startMs) / 1000);
  process.stderr.write(`[${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}] ${line}\n`);
}

const sayEveryMs = 20_000;

/** Says now and then that `work` goes on. */
export async function watched<T>(what: string, work: () => Promise<T>): Promise<T> {
  const beganMs = performance.now();
  const timer = setInterval(() => {
    say(`  waiting for: ${what} (${Math.round((performance.now() - beganMs) / 1000)} s)`);
  }, sayEveryMs);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}

/** Pods on two busy cores: an image is there, volumes are made, three databases follow one another. */
const defaultDeadlineMs = 180_000;
const pollMs = 500;

/** What `probe` finds, as soon as it finds something. @throws Error when it has found nothing by the deadline */
export function until<T>(
  what: string,
  probe: () => Promise<T | undefined>,
  deadlineMs = defaultDeadlineMs,
): Promise<T> {
  const giveUpAt = performance.now() + deadlineMs;
  return watched(what, async () => {
    for (;;) {
      const found = await probe();
      if (found !== undefined) return found;
      if (performance.now() > giveUpAt) throw new Error(`${deadlineMs / 1000} s have gone by without: ${what}`);
      await sleep(pollMs);
    }
  });
}
