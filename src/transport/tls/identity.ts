import type { X509Certificate } from 'node:crypto';

/**
 * One entry of Node's text form of a subject alternative name extension. A value with a quote, a comma, a backslash or
 * anything unprintable in it comes as a JSON string (CVE-2021-44532): so a bare one ends at the comma for certain.
 */
const altName = /([^:",]+):("(?:[^"\\]|\\.)*"|[^",]*)(?:, (?!$)|$)/y;

/**
 * The names that a client certificate speaks for: every URI and DNS subject alternative name, in their order; the common
 * name only where there is none of these, and only where it is the only one. Compared as they are: a wildcard is a name
 * like any other, and stands for nothing else.
 */
export function certificateNames(certificate: X509Certificate): readonly string[] {
  const names = parseAltNames(certificate.subjectAltName ?? '');
  if (names === undefined) return [];
  if (names.length > 0) return names;
  const { CN: commonName }: { CN?: string | readonly string[] } = certificate.toLegacyObject().subject;
  return typeof commonName === 'string' ? [commonName] : [];
}

/** URI and DNS names in `text`; undefined where it is not of the stated form, which must not become a common name. */
export function parseAltNames(text: string): readonly string[] | undefined {
  const names: string[] = [];
  for (let at = 0; at < text.length; at = altName.lastIndex) {
    altName.lastIndex = at;
    const [, kind, value = ''] = altName.exec(text) ?? [];
    if (kind === undefined) return undefined;
    if (kind === 'URI' || kind === 'DNS') {
      const name = value.startsWith('"') ? jsonString(value) : value;
      if (name === undefined) return undefined;
      names.push(name);
    }
  }
  return names;
}

function jsonString(text: string): string | undefined {
  try {
    return String(JSON.parse(text));
  } catch {
    return undefined;
  }
}
