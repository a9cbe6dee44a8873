/** docs/errors.md and src/record/rejection.ts say the same, and every code is one that somebody can get. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { type RefusalCode, refusals, reject } from '../src/record/rejection.ts';
import { sampleRecord } from './vectors/records.ts';

const root = join(import.meta.dirname, '..');

/** Rows of the tables whose first cell is a code and whose second is its status. */
function documented(): { code: string; status: number; kind: string }[] {
  const doc = readFileSync(join(root, 'docs/errors.md'), 'utf8');
  const sections = doc.split(/^## /m).slice(1);
  return sections.flatMap((section) => {
    const kind = section.startsWith('Rejected') ? 'rejected' : section.startsWith('Unavailable') ? 'unavailable' : '';
    const rows = section.matchAll(/^\| `([a-z_]+)` \| (\d{3}) \|/gm);
    return [...rows].map(([, code = '', status]) => ({ code, status: Number(status), kind }));
  });
}

const byCode = (left: { code: string }, right: { code: string }) => left.code.localeCompare(right.code);

test('docs/errors.md lists exactly the codes of the source, each once, with its status and its kind', () => {
  const source = Object.entries(refusals).map(([code, { status, kind }]) => ({ code, status, kind }));
  assert.deepEqual(documented().sort(byCode), source.sort(byCode));
});

/** The codes that each constructor of a rejection gives. */
const constructed: Record<keyof typeof reject, RefusalCode[]> = {
  payloadHashMismatch: [reject.payloadHashMismatch(sampleRecord).code],
  identityMismatch: [reject.identityMismatch(sampleRecord, 'other').code],
  unknownDevice: [reject.unknownDevice(sampleRecord).code],
  deviceSuspended: [reject.deviceSuspended(sampleRecord).code],
  invalidSignature: [reject.invalidSignature(sampleRecord).code],
  objectRefNotAllowed: [reject.objectRefNotAllowed(sampleRecord).code],
  used: [reject.used(sampleRecord, true, 2n).code, reject.used(sampleRecord, false, 2n).code],
  invalidSequence: [reject.invalidSequence(sampleRecord, 2n).code],
  invalidPreviousHash: [reject.invalidPreviousHash(sampleRecord).code],
  predecessorRejected: [reject.predecessorRejected(sampleRecord).code],
};

/** These name codes without giving them out. */
const namesOnly = /\.test\.ts$|^record\/rejection\.ts$|^telemetry\/|\/openapi\.ts$/;

test('every code is given out somewhere: no device has to handle one that cannot come', () => {
  const folder = join(root, 'src');
  const source = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !namesOnly.test(path))
    .map((path) => readFileSync(join(folder, path), 'utf8'))
    .join('\n');
  const used = new Set<string>();
  for (const [name, codes] of Object.entries(constructed)) {
    if (source.includes(`reject.${name}(`)) for (const code of codes) used.add(code);
  }
  for (const code of Object.keys(refusals)) if (source.includes(`'${code}'`)) used.add(code);
  assert.deepEqual(
    Object.keys(refusals).filter((code) => !used.has(code)),
    [],
  );
});
