import type { BodyShare } from './body-budget.ts';

const newline = 0x0a;

/** One line's bytes, or that it is longer than allowed. */
export type Line = Buffer | 'too-long';

/**
 * The lines of a stream of bytes, at most `bytesMax` of each in memory; a longer one is passed over and told as such.
 * Blank lines are left out.
 * @param share holds the line that is being read, until the next is asked for
 */
export async function* readLines(
  stream: AsyncIterable<Buffer>,
  bytesMax: number,
  share: BodyShare,
): AsyncGenerator<Line> {
  let parts: Buffer[] = [];
  let partBytes = 0;
  let tooLong = false;
  const line = (): Line | undefined => {
    const bytes = parts.length === 1 ? parts[0] : Buffer.concat(parts);
    const whole = tooLong ? 'too-long' : bytes;
    [parts, partBytes, tooLong] = [[], 0, false];
    return whole === 'too-long' || (whole && !isBlank(whole)) ? whole : undefined;
  };
  for await (const chunk of stream) {
    let start = 0;
    while (start < chunk.length) {
      const found = chunk.indexOf(newline, start);
      const end = found < 0 ? chunk.length : found;
      partBytes += end - start;
      if (partBytes > bytesMax) [tooLong, parts] = [true, []];
      else if (end > start) parts.push(chunk.subarray(start, end));
      share.hold(tooLong ? 0 : partBytes);
      if (found >= 0) {
        const whole = line();
        if (whole !== undefined) yield whole;
        share.hold(0);
      }
      start = end + 1;
    }
  }
  const last = line();
  if (last !== undefined) yield last;
}

function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}
