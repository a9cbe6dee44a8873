import { readdir, readFile } from 'node:fs/promises';

/** Linux counts CPU time in hundredths of a second (sysconf _SC_CLK_TCK, 100 on every architecture that Node runs on). */
const ticksPerSecond = 100;

/** CPU seconds, user and system, that the process and all its living descendants have used. Linux only. */
export async function cpuSeconds(pid: number): Promise<number> {
  let ticks = 0;
  for (const { parent, own, id } of await processes()) {
    if (id === pid) ticks += own;
    else if (parent === pid) ticks += (await cpuSeconds(id)) * ticksPerSecond;
  }
  return ticks / ticksPerSecond;
}

async function processes(): Promise<{ id: number; parent: number; own: number }[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    ids.map(async (id) => {
      const stat = await readFile(`/proc/${id}/stat`, 'utf8').catch(() => '');
      // Fields 4, 14 and 15 to 17, behind the name in parentheses (proc(5)); dead children's time counts as well.
      const fields = stat
        .slice(stat.lastIndexOf(')') + 2)
        .split(' ')
        .map(Number);
      const own = [11, 12, 13, 14].reduce((sum, field) => sum + (fields[field] ?? 0), 0);
      return { id, parent: fields[1] ?? 0, own };
    }),
  );
  return found;
}
