import type { Bench } from './bench.ts';
import type { OverloadCase } from './overload-cases.ts';
import type { Figure } from './overload-figures.ts';
import { OverloadRun } from './overload-run.ts';
import { scenarios } from './scenarios.ts';

/** One case over all its rounds, figures in their order. */
export type OverloadMeasurement = {
  readonly name: string;
  readonly figures: readonly { readonly name: string; readonly values: readonly Figure['value'][] }[];
  /** What went wrong in any round. */
  readonly faults: readonly string[];
};

/** What is overloaded, and by what its capacity is measured. */
const scenario = scenarios.find(({ name }) => name === 'single x64, segment');

/** @param bench whose ledger and payloads are these cases' own, so that they can be audited as a whole */
export async function measureOverload(
  bench: Bench,
  { name, settings, measure }: OverloadCase,
  { rounds, scale }: { readonly rounds: number; readonly scale: number },
): Promise<OverloadMeasurement> {
  if (scenario === undefined) throw new Error('the scenario to overload is gone');
  const values = new Map<string, Figure['value'][]>();
  const faults: string[] = [];
  for (let round = 0; round < rounds; round++) {
    await using run = await OverloadRun.open(bench, scenario, settings, scale);
    const shown = await measure(run);
    faults.push(...shown.faults);
    for (const figure of shown.figures) values.set(figure.name, [...(values.get(figure.name) ?? []), figure.value]);
  }
  const audited = await bench.audit(scenario);
  if (audited.code !== 0) faults.push(`the audit ended with exit code ${audited.code}: ${audited.stderr.trim()}`);
  return { name, figures: Array.from(values, ([figure, all]) => ({ name: figure, values: all })), faults };
}

/** The median over the rounds, and in parentheses the least and the most. */
export function formatOverload({ name, figures, faults }: OverloadMeasurement): string {
  const width = Math.max(...figures.map((figure) => figure.name.length));
  const lines = figures.map((figure) => `  ${figure.name.padEnd(width)}  ${formatRounds(figure.values)}`);
  return [`${name}:`, ...lines, ...faults.map((fault) => `  BROKEN: ${fault}`)].join('\n');
}

function formatRounds(values: readonly Figure['value'][]): string {
  const known = values.filter((value) => value !== undefined).sort((a, b) => a - b);
  const [least, most] = [known.at(0), known.at(-1)];
  const median = known[Math.floor((known.length - 1) / 2)];
  if (least === undefined || most === undefined || median === undefined) return '-';
  const missing = known.length < values.length ? `, not in ${values.length - known.length} rounds` : '';
  return values.length === 1 ? short(median) : `${short(median)} (${short(least)} to ${short(most)}${missing})`;
}

const short = (value: number) => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3));
