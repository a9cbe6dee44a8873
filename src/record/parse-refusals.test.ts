import assert from 'node:assert/strict';
import test from 'node:test';
import { bodyWith, objectOf, soundMembers, utf8 } from '../../test/vectors/envelopes.ts';
import { parseEnvelope } from './parse.ts';

/** What is wrong with a body, the body, and how the error begins: with the field. */
type Refused = readonly [what: string, body: Buffer, message: RegExp];

const record = objectOf(soundMembers);
const deviceId = (source: string) => bodyWith({ device_id: source });
const sequence = (source: string) => bodyWith({ sequence: source });
const payloadHash = (source: string) => bodyWith({ payload_hash: source });
const objectRef = (ref: string) => bodyWith({ object_ref: JSON.stringify(ref) });
const repeated = (source: string, count: number) => `[${Array<string>(count).fill(source).join(',')}]`;

function without(name: string): Buffer {
  const { [name]: _, ...rest } = soundMembers;
  return utf8(objectOf({ record: objectOf(rest), raw_payload_hex: '""' }));
}

const invalidFields: Refused[] = [
  ['a device_id that is a number', deviceId('7'), /^record\.device_id must be text$/],
  ['a null device_id', deviceId('null'), /^record\.device_id must be text$/],
  ['an empty device_id', deviceId('""'), /^record\.device_id must not be empty$/],
  ['a NUL in device_id', deviceId('"a\\u0000"'), /^record\.device_id must not contain control characters$/],
  ['300 bytes of device_id', deviceId(`"${'é'.repeat(150)}"`), /^record\.device_id has 300 bytes, at most 255 /],
  ['sequence as text', sequence('"1"'), /^record\.sequence must be a whole number/],
  ['sequence 0', sequence('0'), /^record\.sequence must be between 1 and 9223372036854775807, got 0$/],
  ['a negative sequence', sequence('-1'), /^record\.sequence must be between .* got -1$/],
  ['a fraction', sequence('1.5'), /^record\.sequence must be a whole number/],
  ['a number beyond doubles', sequence('1e400'), /^record\.sequence must be a whole number/],
  ['a sequence above 2^63-1', sequence('9223372036854775808'), /^record\.sequence must .* got 9223372036854775808$/],
  ['an exponent', bodyWith({ timestamp_ms: '1e3' }), /^record\.timestamp_ms must be .* without fraction or exponent$/],
  ['a negative time', bodyWith({ timestamp_ms: '-1' }), /^record\.timestamp_ms must be between 0 and/],
  ['odd hex', payloadHash('"abc"'), /^record\.payload_hash must be hexadecimal text/],
  ['a byte of 256', payloadHash(repeated('256', 32)), /^record\.payload_hash must be .* integers from 0 to 255$/],
  ['a byte of -1', payloadHash(repeated('-1', 32)), /^record\.payload_hash must be/],
  ['a byte that is text', payloadHash(repeated('"0"', 32)), /^record\.payload_hash must be/],
  ['33 bytes of hash', payloadHash(repeated('0', 33)), /^record\.payload_hash must be 32 bytes, got 33$/],
  ['31 bytes of link', bodyWith({ prev_record_hash: repeated('0', 31) }), /^record\.prev_record_hash must be 32 bytes/],
  ['63 bytes of signature', bodyWith({ signature: repeated('0', 63) }), /^record\.signature must be 64 bytes, got 63$/],
  ['a payload that is not hex', bodyWith({}, '"zz"'), /^raw_payload_hex must be hexadecimal text/],
  ['a payload that is an object', bodyWith({}, '{}'), /^raw_payload_hex must be hexadecimal text/],
  ['an empty object_ref', objectRef(''), /^record\.object_ref must not be empty$/],
  ['an absolute object_ref', objectRef('/etc/passwd'), /^record\.object_ref must be relative/],
  ['an absolute key in a bucket', objectRef('s3://b//x'), /^record\.object_ref must be relative/],
  ['a climbing object_ref', objectRef('lift-01/../x'), /^record\.object_ref must name an object/],
  ['an object_ref that is a folder', objectRef('lift-01/'), /^record\.object_ref must name an object/],
  ['a bucket without a key', objectRef('s3://bucket/'), /^record\.object_ref must name an object/],
  ['1025 bytes of object_ref', objectRef('a'.repeat(1025)), /^record\.object_ref has 1025 bytes, at most 1024 /],
  ...Object.keys(soundMembers).map(
    (name): Refused => [`a record without ${name}`, without(name), new RegExp(`^record\\.${name} is missing$`)],
  ),
  ['a body without record', utf8('{"raw_payload_hex":""}'), /^record is missing$/],
  ['a body without payload', utf8(objectOf({ record })), /^raw_payload_hex is missing$/],
  [
    'an unknown member',
    utf8(objectOf({ record, raw_payload_hex: '""', note: '1' })),
    /^"note" is unknown: leave it out/,
  ],
  ['an unknown member of the record', bodyWith({ operator: '"me"' }), /^record\."operator" is unknown: leave it out/],
  ['a record that is an array', utf8('{"record":[],"raw_payload_hex":""}'), /^record must be a JSON object$/],
  ['a body that is text', utf8('"x"'), /^the body must be a JSON object$/],
];

const malformed: Refused[] = [
  ['an empty body', utf8(''), /^not JSON: the JSON ends too early at character 1$/],
  ['half a body', bodyWith({}).subarray(0, 100), /^not JSON: /],
  ['a body that is not UTF-8', Buffer.from([0x22, 0xff, 0x22]), /^the body is not UTF-8$/],
  [
    'a byte order mark',
    Buffer.concat([utf8('\ufeff'), bodyWith({})]),
    /^not JSON: unexpected character at character 1$/,
  ],
  ['a duplicate key', utf8(`{"record":${record},"record":${record}}`), /^not JSON: the key "record" stands twice/],
  ['a lone surrogate', deviceId('"\\ud800"'), /^not JSON: a lone surrogate/],
  ['a number of 65 digits', sequence('1'.repeat(65)), /^not JSON: a number of more than 64 characters/],
];

for (const [code, table] of [['invalid_field', invalidFields] as const, ['malformed_json', malformed] as const]) {
  for (const [what, body, message] of table) {
    test(`${what} is refused as ${code}, saying where`, () => {
      assert.throws(() => parseEnvelope(body), { name: 'ParseError', code, message });
    });
  }
}

test('ten megabytes of opening brackets cost neither the stack nor a second', () => {
  for (const opening of ['[', '{"a":']) {
    const body = utf8(opening.repeat((10 * 2 ** 20) / opening.length));
    const startMs = performance.now();
    assert.throws(() => parseEnvelope(body), { code: 'malformed_json', message: /more than 8 levels of nesting/ });
    assert.ok(performance.now() - startMs < 1_000);
  }
});
