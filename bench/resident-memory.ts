import { readFile } from 'node:fs/promises';

/** How often resident memory is read during a run. */
const intervalMs = 250;

/** Resident memory of the process, bytes. Linux only. */
async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
}

/** The largest resident memory of any one of the processes until `stop`, bytes. */
export function watchMemory(pids: readonly number[]): { stop(): number } {
  let most = 0;
  const read = async () => {
    for (const pid of pids) most = Math.max(most, await residentBytes(pid));
  };
  const timer = setInterval(() => void read().catch(() => {}), intervalMs);
  return {
    stop() {
      clearInterval(timer);
      return most;
    },
  };
}
