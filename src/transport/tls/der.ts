/** One element of DER (ITU-T X.690): its tag and contents, and both with the length between them. */
export type DerElement = { readonly tag: number; readonly contents: Buffer; readonly encoded: Buffer };

/** The elements that lie one after the other in `der`. @throws RangeError where it is not DER, or cut short */
export function derElements(der: Buffer): DerElement[] {
  const elements: DerElement[] = [];
  for (let rest = der; rest.length > 0; ) {
    const { start, end } = extentOf(rest);
    elements.push({ tag: rest.readUInt8(), contents: rest.subarray(start, end), encoded: rest.subarray(0, end) });
    rest = rest.subarray(end);
  }
  return elements;
}

/** X.690 section 8.1.3: a length below 128 is its own byte, a longer one is preceded by how many bytes it has. */
function extentOf(der: Buffer): { readonly start: number; readonly end: number } {
  const first = der.readUInt8(1);
  const size = first < 0x80 ? 0 : first & 0x7f;
  // Four bytes say more than any file that is read here holds.
  if (size > 4 || first === 0x80) throw new RangeError('a length that DER does not have');
  const start = 2 + size;
  const end = start + (size === 0 ? first : der.readUIntBE(2, size));
  if (end > der.length) throw new RangeError('cut short');
  return { start, end };
}

const tags = { utcTime: 0x17, generalizedTime: 0x18 } as const;

/** Of either form of a time, whatever it says. */
export const isDerTime = ({ tag }: DerElement): boolean => tag === tags.utcTime || tag === tags.generalizedTime;

/** A time as RFC 5280 section 4.1.2.5 has it: always UTC, with seconds. @returns undefined where it is none */
export function derTimeMs(element: DerElement): number | undefined {
  const { tag, contents } = element;
  if (!isDerTime(element)) return undefined;
  const text = contents.toString('latin1');
  // Of two digits, from 50 on it is the last century.
  const year = tag === tags.utcTime ? (text.slice(0, 2) < '50' ? `20${text}` : `19${text}`) : text;
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(year);
  if (parts === null) return undefined;
  const [, y, m, d, h, min, s] = parts;
  const ms = Date.parse(`${y}-${m}-${d}T${h}:${min}:${s}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}

/** An object identifier in dotted form (X.690 section 8.19). @throws RangeError for a number beyond 2^53 */
export function derOid({ contents }: DerElement): string {
  const numbers: number[] = [];
  let number = 0;
  for (const byte of contents) {
    number = number * 0x80 + (byte & 0x7f);
    if (!Number.isSafeInteger(number)) throw new RangeError('a number larger than any in use');
    if (byte >= 0x80) continue;
    numbers.push(number);
    number = 0;
  }
  const [both = 0, ...rest] = numbers;
  // The first two share a number; the first is 0, 1 or 2.
  const first = Math.min(2, Math.floor(both / 40));
  return [first, both - 40 * first, ...rest].join('.');
}
