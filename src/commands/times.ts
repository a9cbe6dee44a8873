import { UsageError, type ValueParser } from './command.ts';

/** ISO 8601 with its offset: without one, the same text would be another time elsewhere. */
const isoForm = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/;

export const isoTime: ValueParser<Date> = (text, name) => {
  const time = new Date(isoForm.test(text) ? text : Number.NaN);
  if (Number.isNaN(time.getTime()))
    throw new UsageError(`${name} must be a time such as 2026-01-31T12:00:00Z, got '${text}'`);
  return time;
};

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90s`, `15m`, `24h` or `7d`, in milliseconds. */
export const duration: ValueParser<number> = (text, name) => {
  const [, count, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const ms = Number(count) * (unitMs[unit] ?? Number.NaN);
  if (Number.isNaN(ms)) throw new UsageError(`${name} must be a duration such as 90s, 15m, 24h or 7d, got '${text}'`);
  return ms;
};
