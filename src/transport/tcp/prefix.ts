import type { Socket } from 'node:net';

/** What the first bytes of a stream mean, and how many of them that took; undefined while more are needed. */
export type Prefix<T> = { readonly value: T; readonly used: number } | undefined;

/**
 * Reads from the start of a stream until `parse` has decided. Bytes beyond those that it used go back into the stream.
 * `parse` must decide within a bounded number of bytes.
 * @returns the value; 'late' after `deadlineMs`, 'gone' when the peer has ended the stream first
 */
export function readPrefix<T>(
  socket: Socket,
  parse: (bytes: Buffer) => Prefix<T>,
  deadlineMs: number,
): Promise<T | 'late' | 'gone'> {
  return new Promise((resolve) => {
    let bytes = Buffer.alloc(0);
    const read = () => {
      const chunk: Buffer | null = socket.read();
      if (chunk === null) return;
      bytes = Buffer.concat([bytes, chunk]);
      const prefix = parse(bytes);
      if (prefix === undefined) return;
      finish(prefix.value);
      if (prefix.used < bytes.length) socket.unshift(bytes.subarray(prefix.used));
    };
    const gone = () => finish('gone');
    const finish = (value: T | 'late' | 'gone') => {
      clearTimeout(timer);
      socket.off('readable', read).off('end', gone).off('close', gone);
      resolve(value);
    };
    const timer = setTimeout(() => finish('late'), deadlineMs);
    socket.on('readable', read).on('end', gone).on('close', gone);
  });
}
