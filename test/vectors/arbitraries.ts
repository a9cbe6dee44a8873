import fc from 'fast-check';
import { type DeviceRecord, hashBytes, ledgerIntegerMax, signatureBytes, u64Max } from '../../src/record/record.ts';

/** What property tests draw from. fast-check prints seed and path of a failure; pass them to fc.assert to see it again. */

export const bytesOf = (count: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength: count, maxLength: count }).map((bytes) => Buffer.from(bytes));

/** Every record that the encoding can express, whether or not a device may send it. */
export const anyRecord: fc.Arbitrary<DeviceRecord> = recordOf({
  deviceId: fc.string({ unit: 'binary', maxLength: 300 }),
  sequence: fc.bigInt({ min: 0n, max: u64Max }),
  timestampMs: fc.bigInt({ min: 0n, max: u64Max }),
  objectRef: fc.string({ unit: 'binary', maxLength: 300 }),
});

const name = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 60 })
  .map((text) => text.replace(/[\u0000-\u001f\u007f/]/g, '-'))
  .filter((text) => text !== '.' && text !== '..');

/** Records that the parser admits. */
export const sendableRecord: fc.Arbitrary<DeviceRecord> = recordOf({
  deviceId: name,
  sequence: fc.bigInt({ min: 1n, max: ledgerIntegerMax }),
  timestampMs: fc.bigInt({ min: 0n, max: ledgerIntegerMax }),
  objectRef: fc
    .tuple(fc.constantFrom('', 's3://bucket/'), fc.array(name, { minLength: 1, maxLength: 4 }))
    .map(([bucket, parts]) => bucket + parts.join('/')),
});

type Drawn = 'deviceId' | 'sequence' | 'timestampMs' | 'objectRef';

function recordOf(fields: { [F in Drawn]: fc.Arbitrary<DeviceRecord[F]> }): fc.Arbitrary<DeviceRecord> {
  const model = {
    deviceId: fields.deviceId,
    sequence: fields.sequence,
    timestampMs: fields.timestampMs,
    payloadHash: bytesOf(hashBytes),
    signature: bytesOf(signatureBytes),
    prevRecordHash: bytesOf(hashBytes),
    objectRef: fields.objectRef,
  };
  return fc.record(model, { noNullPrototype: true });
}
