import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { DeviceChain } from '../device/device-chain.ts';
import type { DeviceRecord } from '../record/record.ts';
import type { VerificationKey } from '../record/signature.ts';
import { generateSigningKey } from '../record/signing-key.ts';
import { ChainVerifier } from './chain-verifier.ts';

const schemes = ['payload-v1', 'record-v2'] as const;
const devices = schemes.map((scheme) => ({ deviceId: `of ${scheme}`, scheme, key: generateSigningKey() }));
const keys = new Map<string, VerificationKey[]>(
  devices.map(({ deviceId, scheme, key }) => [deviceId, [{ scheme, publicKey: key.publicKey }]]),
);

/** Records of both devices in the order of `turns`. */
function interleaved(turns: readonly number[]): DeviceRecord[] {
  const chains = devices.map((device) => new DeviceChain(device));
  return turns.flatMap((turn, index) => {
    const chain = chains[turn];
    return chain ? [chain.next(Buffer.from(`${index}`), { timestampMs: 1n, objectRef: `${index}` }).record] : [];
  });
}

function firstBreakAt(records: readonly DeviceRecord[], partial = false): number {
  const verifier = new ChainVerifier({ keys, partial });
  return records.findIndex((record) => verifier.add(record) !== undefined);
}

const anyTurns = fc.array(fc.nat({ max: 1 }), { minLength: 1, maxLength: 12 });

test('chains of several devices in one file are valid in any interleaving', () => {
  fc.assert(fc.property(anyTurns, (turns) => assert.equal(firstBreakAt(interleaved(turns)), -1)));
});

test('leaving out, repeating or altering any one record is found, unless it is cut off at the end of its chain', () => {
  fc.assert(
    fc.property(anyTurns, fc.nat(), (turns, pick) => {
      const records = interleaved(turns);
      const at = pick % records.length;
      const record = records[at];
      assert.ok(record);
      assert.equal(firstBreakAt(records.toSpliced(at, 0, record)), at + 1);
      const payloadHash = Buffer.alloc(32, 0xee);
      assert.equal(firstBreakAt(records.toSpliced(at, 1, { ...record, payloadHash })), at);
      const next = records.findIndex((other, index) => index > at && other.deviceId === record.deviceId);
      assert.equal(firstBreakAt(records.toSpliced(at, 1)), next < 0 ? -1 : next - 1);
    }),
  );
});

test('what payload-v1 leaves unsigned is still held by the next link, and record-v2 holds it at once', () => {
  for (const [turn, brokenAt] of [
    [0, 1],
    [1, 0],
  ] as const) {
    const records = interleaved([turn, turn]);
    const altered = records.with(0, { ...(records[0] as DeviceRecord), timestampMs: 2n });
    assert.equal(firstBreakAt(altered), brokenAt);
  }
});

test('part of a chain is no chain unless that is asked for, and its links and signatures count all the same', () => {
  const records = interleaved([0, 0, 0, 0]).slice(1);
  assert.equal(firstBreakAt(records), 0);
  assert.equal(firstBreakAt(records, true), -1);
  assert.equal(firstBreakAt(records.toSpliced(1, 1), true), 1);
});
