import assert from 'node:assert/strict';
import test from 'node:test';
import { recordVectors, vectorKey } from '../../test/vectors/records.ts';
import { genesis } from '../record/record.ts';
import { signingKeyFromSeed } from '../record/signing-key.ts';
import { DeviceChain } from './device-chain.ts';

const options = { deviceId: 'lift-01', scheme: 'payload-v1', key: signingKeyFromSeed(vectorKey.seed) } as const;

test('a chain from nothing is the published one, and its head follows each record', () => {
  const chain = new DeviceChain(options);
  assert.deepEqual(chain.head, genesis);
  for (const { record, payload, recordHash } of recordVectors) {
    assert.deepEqual(chain.next(payload, record), { record, payload });
    assert.deepEqual(chain.head, { sequence: record.sequence, recordHash });
  }
});

test('a chain goes on from a head that it is given, at the start or later', () => {
  const [first, second, third] = recordVectors;
  assert.ok(first && second && third);
  const head = { sequence: 1n, recordHash: first.recordHash };
  const chain = new DeviceChain({ ...options, head });
  assert.deepEqual(chain.next(second.payload, second.record).record, second.record);
  chain.resumeFrom(head);
  assert.deepEqual(chain.next(second.payload, second.record).record, second.record);
});
