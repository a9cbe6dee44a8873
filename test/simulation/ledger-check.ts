import { keyCountsAt } from '../../src/record/device.ts';
import { encodeRecord } from '../../src/record/encoding.ts';
import { blake3Hash } from '../../src/record/hash.ts';
import { judgeObjectRef } from '../../src/record/judge.ts';
import { type ChainHead, type DeviceRecord, genesis } from '../../src/record/record.ts';
import type { Cluster } from './cluster.ts';
import { isSigned } from './device-model.ts';
import type { MemoryLedger, Row } from './memory-ledger.ts';
import type { MemoryObjects } from './memory-objects.ts';
import { payloadFault } from './verdict-check.ts';

/** What is wrong with the ledger and the objects that it points at, once nothing is in flight any more. */
export function ledgerFaults(cluster: Cluster): string[] {
  const { ledger, objects } = cluster;
  const faults = [...ledger.rows].flatMap(([deviceId, rows]) => chainFaults(deviceId, rows, objects));
  return [...faults, ...skewFaults(cluster), ...logFaults(ledger)];
}

/** Each row tells how far the device's clock was off when one of its attempts arrived, if that was too far. */
function skewFaults({ ledger, attempts, clockSkewMaxMs }: Cluster): string[] {
  const told = new Map<DeviceRecord, Set<bigint | undefined>>();
  for (const {
    envelope: { record },
    arrivedMs,
  } of attempts) {
    const skewMs = Math.trunc(arrivedMs) - Number(record.timestampMs);
    const skews = told.get(record) ?? new Set();
    told.set(record, skews.add(Math.abs(skewMs) > clockSkewMaxMs ? BigInt(skewMs) : undefined));
  }
  return [...ledger.rows.values()]
    .flat()
    .filter(({ record, clockSkewMs }) => told.get(record)?.has(clockSkewMs) !== true)
    .map(({ record, clockSkewMs }) => `${record.deviceId}:${record.sequence}: its clock is off by ${clockSkewMs}`);
}

/** I2: exactly 1..n, each linking to the one before, each valid when it was committed, with its payload. */
function chainFaults(deviceId: string, rows: readonly Row[], objects: MemoryObjects): string[] {
  let head: ChainHead = genesis;
  const faults: string[] = [];
  for (const row of rows.toSorted((a, b) => Number(a.record.sequence - b.record.sequence))) {
    const { record, recordHash, committedMs, device } = row;
    const say = (fault: string) => faults.push(`${deviceId}:${record.sequence}: ${fault}`);
    if (record.sequence !== head.sequence + 1n) say(`I2: follows ${head.sequence}`);
    else if (!record.prevRecordHash.equals(head.recordHash)) say('I2: links to another record');
    if (!blake3Hash(encodeRecord(record)).equals(recordHash)) say('I2: has another hash');
    const author = device?.enabled && device.keys.some((key) => keyCountsAt(key, committedMs) && isSigned(record, key));
    if (!author) say('I3: committed, but the device of that moment had not signed it');
    if (judgeObjectRef(record, 'device') !== undefined) say('I3: committed, but its object_ref is not its own');
    const payload = payloadFault(row, objects);
    if (payload !== undefined) say(payload);
    head = { sequence: record.sequence, recordHash };
  }
  return faults;
}

/** I4: each row has been accepted exactly once, whatever was sent again. */
function logFaults({ rows, log }: MemoryLedger): string[] {
  const accepted = new Map<string, number>();
  for (const { decision, deviceId, sequence } of log.values()) {
    const place = `${deviceId}:${sequence}`;
    if (decision === 'Accepted') accepted.set(place, (accepted.get(place) ?? 0) + 1);
  }
  const faults: string[] = [];
  for (const { record } of [...rows.values()].flat()) {
    const place = `${record.deviceId}:${record.sequence}`;
    const times = accepted.get(place) ?? 0;
    if (times !== 1) faults.push(`${place}: I4: accepted ${times} times in the operation log`);
    accepted.delete(place);
  }
  for (const place of accepted.keys()) faults.push(`${place}: I1: accepted in the operation log, but there is no row`);
  return faults;
}
