/** Ingest bodies written by hand, so that a test can send what no serializer would write. */

export const utf8 = (text: string) => Buffer.from(text, 'utf8');

/** The members of a sound record, each as JSON source. */
export const soundMembers: Readonly<Record<string, string>> = {
  device_id: '"lift-01"',
  sequence: '1',
  timestamp_ms: '1700000000000',
  payload_hash: `"${'00'.repeat(32)}"`,
  signature: `"${'00'.repeat(64)}"`,
  prev_record_hash: `"${'00'.repeat(32)}"`,
  object_ref: '"lift-01/1.bin"',
};

/** A JSON object of members given as JSON source. */
export function objectOf(members: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(members).map(([name, source]) => `${JSON.stringify(name)}:${source}`);
  return `{${pairs.join(',')}}`;
}

/** A sound body but for these members of the record, given as JSON source. */
export function bodyWith(members: Readonly<Record<string, string>>, payload = '""'): Buffer {
  return utf8(objectOf({ record: objectOf({ ...soundMembers, ...members }), raw_payload_hex: payload }));
}
