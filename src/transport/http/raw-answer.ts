import { refusals } from '../../record/rejection.ts';
import { jsonText, type Reply } from './reply.ts';

const statusTexts: Record<number, string> = {
  [refusals.request_timeout.status]: 'Request Timeout',
  [refusals.headers_too_large.status]: 'Request Header Fields Too Large',
};

/** A whole HTTP/1.1 answer, the connection's last, for where there is no request to answer. */
export function rawAnswer({ status, body }: Reply): string {
  const text = jsonText(body);
  const head = [
    `HTTP/1.1 ${status} ${statusTexts[status] ?? 'Bad Request'}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(text)}`,
    'Connection: close',
  ];
  return `${head.join('\r\n')}\r\n\r\n${text}`;
}
