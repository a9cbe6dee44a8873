import type { ServerResponse } from 'node:http';
import type { Verdict } from '../../ingest/verdict.ts';
import { type RefusalCode, refusals, type UnavailableCode } from '../../record/rejection.ts';

/** After an outage or overload of ours: soon enough for a device's buffer, late enough to let us recover. */
const retryAfterSeconds = 1;
/** After a rate was used up at most: what is in debt for longer may be forgiven by another replica, or by a higher limit. */
const retryAfterSecondsMax = 60;

/** The text of `error` for what is ours; nothing in it that a stranger should not know. */
const unavailableTexts: Record<UnavailableCode, string> = {
  rate_limited: 'more than the agreed rate: send again later, more slowly',
  overloaded: 'too many records in flight: send again later',
  ledger_unavailable: 'the ledger is not available: nothing is lost, send again later',
  payload_store_unavailable: 'the payload store is not available: nothing is lost, send again later',
  chain_contended: 'other senders of this device were faster time and again: read the head and send again',
  draining: 'this connection is ending: send again on a new one',
  internal_error: 'internal error: nothing is lost, send again later',
};

export type ReplyBody = Readonly<Record<string, string | number | bigint | boolean>>;
export type Reply = {
  readonly status: number;
  readonly body: ReplyBody;
  readonly headers?: Readonly<Record<string, string>>;
};

/** A final refusal of the request itself, before any record was judged. */
export function refusal(code: RefusalCode, error: string, headers?: Record<string, string>): Reply {
  return { status: refusals[code].status, body: { status: 'rejected', code, error }, ...(headers && { headers }) };
}

/** @param retryAfterMs from when on it may go better, where that is known */
export function unavailableReply(code: UnavailableCode, retryAfterMs = 0): Reply {
  // RFC 9110 section 10.2.3: whole seconds.
  const seconds = Math.min(Math.max(Math.ceil(retryAfterMs / 1000), retryAfterSeconds), retryAfterSecondsMax);
  return {
    status: refusals[code].status,
    body: { status: 'unavailable', code, error: unavailableTexts[code], retry_after_seconds: seconds },
    headers: { 'Retry-After': String(seconds) },
  };
}

/** @param stored where an accepted record is safe so far, when that is not the centre yet */
export function verdictReply(verdict: Verdict, stored?: 'relay'): Reply {
  if (verdict.status === 'unavailable') return unavailableReply(verdict.code, verdict.retryAfterMs);
  if (verdict.status === 'accepted')
    return {
      status: 202,
      body: { status: 'accepted', record_hash: verdict.recordHash.toString('hex'), ...(stored && { stored }) },
    };
  const { code, message, expectedSequence, identical } = verdict.rejection;
  return {
    status: refusals[code].status,
    body: {
      status: 'rejected',
      code,
      error: message,
      ...(expectedSequence !== undefined && { expected_sequence: expectedSequence }),
      ...(identical !== undefined && { identical }),
    },
  };
}

/** JSON text; 64-bit numbers digit for digit. */
export function jsonText(body: ReplyBody): string {
  const members = Object.entries(body).map(
    ([name, value]) => `${JSON.stringify(name)}:${typeof value === 'bigint' ? value : JSON.stringify(value)}`,
  );
  return `{${members.join(',')}}`;
}

export function send(response: ServerResponse, { status, body, headers }: Reply): void {
  const text = jsonText(body);
  response.writeHead(status, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    ...headers,
  });
  response.end(text);
}
