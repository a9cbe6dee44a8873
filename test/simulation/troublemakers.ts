import type { DeviceRecord, Envelope } from '../../src/record/record.ts';
import type { Cluster } from './cluster.ts';
import { DeviceModel, headAfter } from './device-model.ts';

/** What a device does, or somebody in its name, that the service has to bear. */

const poisonTries = 6;
const apartMsMax = 400;

const stranger = new DeviceModel('stranger', 'record-v2', 100);

const flip = (bytes: Buffer): Buffer => Buffer.from(bytes.map((byte, index) => (index === 7 ? byte ^ 1 : byte)));
const changed = ({ record, payload }: Envelope, change: Partial<DeviceRecord>): Envelope => ({
  record: { ...record, ...change },
  payload,
});

/** Records that must never be admitted, each made for the place after the device's head. */
function garbage(model: DeviceModel, { ledger }: Cluster): Envelope[] {
  const [head] = ledger.readHeads([model.id]);
  if (head === undefined) return [];
  const next = model.envelope(head, 0, { text: 'garbage' });
  const astray = { sequence: head.sequence, recordHash: flip(head.recordHash) };
  return [
    changed(next, { signature: flip(next.record.signature) }),
    { record: next.record, payload: Buffer.from('another payload') },
    model.envelope(astray, 0, { text: 'wrong link' }),
    model.envelope({ ...head, sequence: head.sequence + 3n }, 0, { text: 'gap' }),
    model.envelope(head, 0, { text: 'foreign', objectRef: 'lift-99/1.bin' }),
    changed(next, { deviceId: 'lift-99' }),
    stranger.envelope(head, 0, { text: 'stranger' }),
  ];
}

/** Sends what must be refused, and again what others have sent already. */
export async function disturb(cluster: Cluster, fleet: readonly DeviceModel[], times: number): Promise<void> {
  const { scheduler, random } = cluster.network;
  for (let i = 0; i < times; i++) {
    await scheduler.sleep(random.next() * apartMsMax);
    const seen = cluster.attempts;
    const replay = seen.length > 0 && random.chance(0.4) ? [random.pick(seen).envelope] : undefined;
    await cluster.send(replay ?? [random.pick(garbage(random.pick(fleet), cluster))], Infinity);
  }
}

/** Sends a sound record that the ledger cannot hold: its device stands still, and nobody else may notice. */
export async function sendPoison(cluster: Cluster, last: Envelope, model: DeviceModel): Promise<void> {
  const { scheduler, random } = cluster.network;
  const poison = model.envelope(headAfter(last), 0, { text: 'poison' });
  cluster.ledger.poisoned.add(headAfter(poison).recordHash.toString('hex'));
  for (let i = 0; i < poisonTries; i++) {
    const [verdict] = await cluster.send([poison], Infinity);
    if (verdict !== undefined && verdict.status !== 'unavailable') cluster.fault(`I1: a poisoned record is decided`);
    await scheduler.sleep((random.next() * apartMsMax) / 4);
  }
}
