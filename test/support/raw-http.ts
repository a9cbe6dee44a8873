/** HTTP below what a client library would send or wait for. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Far beyond any answer of a test; past it the test fails instead of hanging. */
export const answerDeadlineMs = 15_000;

export type RawAnswer = {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly text: string;
};

export async function openSocket(port: number, host = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ port, host });
  await once(socket, 'connect', { signal: AbortSignal.timeout(answerDeadlineMs) });
  return socket;
}

/** Sends `bytes` and no more, keeps its side open, and reads until the server has closed. */
export async function exchange(port: number, ...parts: readonly (string | Buffer)[]): Promise<RawAnswer> {
  const socket = await openSocket(port);
  for (const part of parts) socket.write(part);
  return answerUntilClose(socket);
}

/** The answer on a socket that the server closes after it. A reset after the answer is as good as an end. */
export async function answerUntilClose(socket: Socket): Promise<RawAnswer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await closed(socket);
  return parseAnswer(Buffer.concat(chunks).toString('utf8'));
}

/** Waits until the connection has ended, in whatever way: a reset is one. */
export async function closed(socket: Socket): Promise<void> {
  socket.on('error', () => {});
  const late = AbortSignal.timeout(answerDeadlineMs);
  await new Promise<void>((resolve, reject) => {
    if (socket.closed) return resolve();
    socket.once('close', () => resolve());
    late.addEventListener('abort', () => reject(late.reason));
  });
}

/** The next answer on a socket that stays open, by its Content-Length. */
export async function firstAnswer(socket: Socket): Promise<RawAnswer> {
  const late = AbortSignal.timeout(answerDeadlineMs);
  let text = '';
  for (;;) {
    if (text.includes('\r\n\r\n')) {
      const answer = parseAnswer(text);
      if (Buffer.byteLength(answer.text) >= Number(answer.headers.get('content-length'))) return answer;
    }
    const [chunk] = (await once(socket, 'data', { signal: late })) as [Buffer];
    text += chunk.toString('utf8');
  }
}

/** @throws Error when the text is not one HTTP answer from its first byte to its last */
export function parseAnswer(answer: string): RawAnswer {
  const end = answer.indexOf('\r\n\r\n');
  const [statusLine = '', ...lines] = answer.slice(0, end).split('\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(statusLine)?.[1]);
  if (end < 0 || !(status >= 200)) throw new Error(`not a final HTTP answer: ${JSON.stringify(answer.slice(0, 300))}`);
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  return { status, headers, text: answer.slice(end + 4) };
}

/** Head of a POST to the ingest routes. */
export function postHead(path: string, headers: Readonly<Record<string, string | number>>): string {
  const lines = Object.entries({ Host: 'test', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}
