import type { Quantiles } from './quantiles.ts';

/** Requests at a fixed rate, whatever the answers: what the paced generator is to do, as JSON. */
export type PacedPlan = {
  readonly url: string;
  /** Local addresses to send from, in turns: the sources that the service sees. */
  readonly from: readonly string[];
  /** One request in flight on each. One that is due while all are busy is not sent. */
  readonly connections: number;
  /** Ids are `<prefix>-<n>`, n from 0. Connection n speaks for device n mod `devices`. */
  readonly devices: number;
  readonly devicePrefix: string;
  readonly perSecond: number;
  readonly seconds: number;
  readonly payloadBytes: number;
  /** Of all devices, hex. */
  readonly privateKeyHex: string;
};

/** A device's last record that the service has said it holds; `recordHash` in hex. */
export type AcknowledgedHead = { readonly deviceId: string; readonly sequence: string; readonly recordHash: string };

export type PacedResult = {
  /** Requests that were due. */
  readonly due: number;
  /** Those that were sent. */
  readonly sent: number;
  /** Sent and not answered: the connection broke, or the answer took too long. */
  readonly unanswered: number;
  /** `accepted`, or the code of a refusal. */
  readonly answers: Readonly<Record<string, number>>;
  /** From the start to the last accepted answer. */
  readonly secondsToLastAccepted: number;
  /** From sending to the answer. */
  readonly latencyMs: { readonly accepted: Quantiles; readonly refused: Quantiles };
  /** By when they were sent, `windowMs` each; `p50Ms` of what was accepted, undefined where nothing was. */
  readonly windows: readonly { readonly p50Ms: number | undefined; readonly refused: number }[];
  readonly heads: readonly AcknowledgedHead[];
  /** Cores that the generator was busy on while it sent. */
  readonly cores: number;
};

/** Short beside a recovery that matters, and long enough for some dozens of requests of a light load. */
export const windowMs = 250;
