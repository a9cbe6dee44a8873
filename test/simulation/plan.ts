import type { Device } from '../../src/record/device.ts';
import { genesis } from '../../src/record/record.ts';
import type { Cluster } from './cluster.ts';
import type { DeviceModel } from './device-model.ts';
import { confirmAgeMs } from './replica.ts';
import { runFaithfully, Session, type SessionOptions } from './session.ts';
import { disturb, sendPoison } from './troublemakers.ts';

/** Records of a device; each costs some verifications, and the races are over after a few. */
const recordsMax = 7;
/** When the registry may change a device, in milliseconds from the beginning. */
const changeMsMax = 600;

/** Starts everything that happens in a schedule. Resolves when every device has come to its end. */
export async function play(cluster: Cluster, devices: readonly DeviceModel[]): Promise<void> {
  const { random } = cluster.network;
  const parts = devices.map((model) => {
    const kind = random.next();
    if (kind > 0.9) return latecomer(cluster, model);
    cluster.register(model);
    if (kind < 0.25) return rivals(cluster, model);
    if (kind < 0.4) return rotating(cluster, model);
    if (kind < 0.5) return poisoned(cluster, model);
    return touched(cluster, model);
  });
  await Promise.all([...parts, disturb(cluster, devices, random.integer(0, 6))]);
}

type SessionPlan = Partial<Pick<SessionOptions, 'goal' | 'textAt'>>;

function session(cluster: Cluster, model: DeviceModel, plan: SessionPlan = {}): Session {
  const { random } = cluster.network;
  const style = random.pick(['one by one', 'window', 'batch', 'batch']);
  return new Session({
    cluster,
    model,
    goal: random.integer(1, recordsMax),
    textAt: () => '',
    width: style === 'one by one' ? 1 : random.integer(2, 5),
    batch: style === 'batch',
    patienceMs: random.chance(0.3) ? random.integer(20, 1_500) : Infinity,
    ...plan,
  });
}

/** A device that behaves, while the registry changes something about it. */
async function touched(cluster: Cluster, model: DeviceModel): Promise<void> {
  const { scheduler, random } = cluster.network;
  const changes = random.chance(0.4) ? random.integer(1, 2) : 0;
  for (let i = 0; i < changes; i++)
    scheduler.after(random.next() * changeMsMax, () => cluster.changeDevice(model.id, (device) => device));
  await runFaithfully(session(cluster, model), model.id, cluster);
}

/** A device that gets a second key and loses its first one while records signed with it are under way. */
async function rotating(cluster: Cluster, model: DeviceModel): Promise<void> {
  const { scheduler, random } = cluster.network;
  const [, { publicKey }] = model.keys;
  const added = { scheme: model.scheme, publicKey, validFromMs: 0, validUntilMs: undefined, revokedAtMs: undefined };
  const device = session(cluster, model);
  const rotate = async () => {
    await scheduler.sleep(random.next() * changeMsMax);
    cluster.changeDevice(model.id, (before) => ({ ...before, keys: [...before.keys, added] }));
    // A replica may not know the new key sooner.
    await scheduler.sleep(confirmAgeMs);
    device.keyIndex = 1;
    await scheduler.sleep(random.next() * changeMsMax);
    cluster.changeDevice(model.id, (before) => revokeFirst(before, scheduler.nowMs));
  };
  await Promise.all([rotate(), pausing(cluster).then(() => runFaithfully(device, model.id, cluster))]);
}

const revokeFirst = (device: Device, revokedAtMs: number): Device => ({
  ...device,
  keys: device.keys.map((key, index) => (index === 0 ? { ...key, revokedAtMs } : key)),
});

/** So that its records are under way at any time of a rotation. */
async function pausing({ network: { scheduler, random }, registryLagMs }: Cluster): Promise<void> {
  if (random.chance(0.7)) await scheduler.sleep(random.next() * (registryLagMs + 2 * changeMsMax));
}

/** A device that has been refused as unknown, and then is registered: replicas that remember it as unknown ask again. */
async function latecomer(cluster: Cluster, model: DeviceModel): Promise<void> {
  const { scheduler, random } = cluster.network;
  const first = model.envelope(genesis, 0, { text: '' });
  for (let tries = random.integer(1, 4); tries > 0; tries--) await cluster.send([first], Infinity);
  cluster.register(model);
  await scheduler.sleep(confirmAgeMs);
  await runFaithfully(session(cluster, model), model.id, cluster);
}

/** Two holders of one key, each with a chain of its own from some place on: one gets in, the other is refused. */
async function rivals(cluster: Cluster, model: DeviceModel): Promise<void> {
  const { scheduler, random } = cluster.network;
  const fork = random.integer(1, 3);
  if (random.chance(0.3)) {
    const suspend = (device: Device) => ({ ...device, enabled: false });
    scheduler.after(random.next() * changeMsMax, () => cluster.changeDevice(model.id, suspend));
  }
  const claims = ['a', 'b'].map((claim) => (sequence: number) => (sequence < fork ? '' : claim));
  const branches = claims.map((textAt) => session(cluster, model, { goal: random.integer(fork, fork + 3), textAt }));
  await Promise.all(branches.map((branch) => branch.run()));
}

/** A device that behaves until one of its records cannot be stored. */
async function poisoned(cluster: Cluster, model: DeviceModel): Promise<void> {
  const device = session(cluster, model);
  await runFaithfully(device, model.id, cluster);
  if (device.last !== undefined) await sendPoison(cluster, device.last, model);
}
