import { type PacedResult, windowMs } from './paced-plan.ts';
import { type Quantiles, quantiles } from './quantiles.ts';

/** Undefined where there was nothing to measure. */
export type Figure = { readonly name: string; readonly value: number | undefined };

const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);

export const acceptedOf = ({ answers }: PacedResult): number => answers.accepted ?? 0;
export const acceptedPerSecond = (result: PacedResult): number => acceptedOf(result) / result.secondsToLastAccepted;

/** What was to be sent, and what the generator and the machine were able to send. */
export function offeredFigures(result: PacedResult, seconds: number, capacity: number): Figure[] {
  return [
    { name: 'due/s to capacity', value: result.due / seconds / capacity },
    { name: 'offered/s to capacity', value: result.sent / seconds / capacity },
    { name: 'cores of its generator', value: result.cores },
  ];
}

/** Shares of what was sent, by what came of it, and how soon. */
export function answerFigures({ answers, sent, unanswered, latencyMs }: PacedResult): Figure[] {
  const { accepted = 0, overloaded = 0, rate_limited = 0, ...others } = answers;
  const other = sum(Object.values(others));
  const share = (name: string, count: number) => ({ name, value: (100 * count) / sent });
  return [
    share('accepted, %', accepted),
    share('503, %', overloaded),
    share('429, %', rate_limited),
    share('other refusals, %', other),
    share('no answer, %', unanswered),
    ...latencyFigures('accepted', latencyMs.accepted, accepted),
    ...latencyFigures('refused', latencyMs.refused, overloaded + rate_limited + other),
  ];
}

function latencyFigures(what: string, { p50, p99 }: Quantiles, count: number): Figure[] {
  return [
    { name: `${what}, p50 ms`, value: count > 0 ? p50 : undefined },
    { name: `${what}, p99 ms`, value: count > 0 ? p99 : undefined },
  ];
}

/** The same senders alone and beside others. */
export function honestFigures(alone: PacedResult, beside: PacedResult): Figure[] {
  const ratio = (of: (result: PacedResult) => number) => of(beside) / of(alone);
  return [
    { name: 'honest: accepted/s to alone', value: ratio(acceptedPerSecond) },
    { name: 'honest: accepted of sent, %', value: (100 * acceptedOf(beside)) / beside.sent },
    { name: 'honest: p50 ms alone', value: alone.latencyMs.accepted.p50 },
    { name: 'honest: p50 to alone', value: ratio(({ latencyMs }) => latencyMs.accepted.p50) },
    { name: 'honest: p99 to alone', value: ratio(({ latencyMs }) => latencyMs.accepted.p99) },
  ];
}

/** Windows of what was sent from `seconds` on. */
const windowsFrom = ({ windows }: PacedResult, seconds: number) =>
  windows.slice(Math.ceil((seconds * 1000) / windowMs));

/** Of a light load that went on when, after `floodSeconds`, the flood ended. */
export function recoveryFigures(light: PacedResult, floodSeconds: number, usualMs: number): Figure[] {
  const windows = windowsFrom(light, floodSeconds);
  // The first window in which all were accepted, half of them within twice the usual time.
  const served = windows.findIndex(({ p50Ms = Infinity, refused }) => refused === 0 && p50Ms <= 2 * usualMs);
  const p50s = windows.flatMap(({ p50Ms }) => p50Ms ?? []);
  return [
    { name: 'light load before, p50 ms', value: usualMs },
    { name: 'light load afterwards, p50 ms', value: p50s.length > 0 ? quantiles(p50s).p50 : undefined },
    { name: 'seconds to its usual latency', value: served < 0 ? undefined : (served * windowMs) / 1000 },
  ];
}
