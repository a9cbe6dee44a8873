import { Batcher } from '../../src/ingest/batcher.ts';
import { Ingest, type IngestBounds } from '../../src/ingest/ingest.ts';
import type {
  AdmittedRecord,
  Clock,
  DeviceDirectory,
  Ledger,
  Observer,
  PayloadLocation,
  PayloadStore,
} from '../../src/ingest/ports.ts';
import { RateLimits } from '../../src/ingest/rate-limits.ts';
import type { Rate } from '../../src/ingest/token-bucket.ts';
import type { Blobs } from '../../src/payload-store/blobs.ts';
import { ObjectLayout } from '../../src/payload-store/object-layout.ts';
import { encodeSegment } from '../../src/payload-store/segment-format.ts';
import type { Device } from '../../src/record/device.ts';
import type { MemoryLedger } from './memory-ledger.ts';
import type { MemoryObjects } from './memory-objects.ts';
import { count, type Network, Wire } from './wire.ts';

const noLimits = { source: undefined, device: undefined, pod: undefined, refused: undefined };
/** Small, so that puts wait for each other and several records share a segment. */
const putsMax = 2;
const segmentRecordsMax = 4;
/** A revocation reaches every pod within a second; a poll that was under way when it came needs one more. */
export const directoryLagMs = 1_000;
/** What was read no longer ago than this need not be confirmed. */
export const confirmAgeMs = 100;

export type ReplicaOptions = {
  readonly name: string;
  readonly network: Network;
  readonly ledger: MemoryLedger;
  readonly objects: MemoryObjects;
  readonly Directory: typeof ReplicaDirectory;
  readonly layout: 'object' | 'segment';
  readonly bounds: Partial<IngestBounds>;
  readonly deviceRate: Rate | undefined;
  readonly observer: Observer;
  readonly crashed: (replica: Replica) => void;
};

/** One pod: an Ingest with caches of its own, over the ports that all pods share. */
export class Replica {
  readonly name: string;
  readonly ingest: Ingest;
  readonly directory: ReplicaDirectory;
  /** Resolves when it crashes. */
  readonly crash: Promise<void>;
  readonly #wire: Wire;

  constructor(options: ReplicaOptions) {
    const { name, network, ledger, objects, layout, bounds, observer } = options;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.name = name;
    this.crash = promise;
    this.#wire = new Wire(network, name, () => {
      this.#wire.cut();
      resolve();
      options.crashed(this);
    });
    const clock = simulatedClock(network, this.#wire, name);
    this.directory = new options.Directory(this.#wire, ledger);
    const payloadStore =
      layout === 'object'
        ? new ObjectLayout(blobsOver(this.#wire, objects), putsMax)
        : segmentsOver(this.#wire, objects, clock);
    this.ingest = new Ingest({
      ledger: ledgerOver(network, this.#wire, ledger),
      payloadStore,
      devices: this.directory,
      observer,
      clock,
      objectRefScope: 'device',
      limits: new RateLimits({ ...noLimits, device: options.deviceRate, now: clock.now }),
      bounds,
    });
  }
}

function simulatedClock({ scheduler, random }: Network, wire: Wire, name: string): Clock {
  let made = 0;
  return {
    now: () => scheduler.nowMs,
    sleep: (ms) => new Promise((resolve) => wire.after(ms, resolve)),
    // Some other work may come first, but no call takes so little.
    defer: (task) => wire.after(random.next() / 1000, task),
    uuid: () => `${name}/${++made}`,
  };
}

const ledgerOver = ({ counters }: Network, wire: Wire, ledger: MemoryLedger): Ledger => ({
  commit: (batch) => {
    count(counters, 'shared rows', batch.rejections.filter(({ count }) => count > 1).length);
    const runs = batch.runs.map(({ deviceId, records }) => `${deviceId}:${records.map((r) => r.record.sequence)}`);
    return wire.commit(`commit [${runs}] and ${batch.rejections.length} refusals`, () => ledger.commit(batch));
  },
  readHeads: (ids) => wire.read('ledger', `heads of ${ids}`, () => ledger.readHeads(ids)),
  readRecordHashes: (places) =>
    wire.read('ledger', `hashes at ${places.map(({ deviceId, sequence }) => `${deviceId}:${sequence}`)}`, () =>
      ledger.readRecordHashes(places),
    ),
});

type WrittenBlobs = Pick<Blobs, 'putOnce' | 'describe' | 'read'>;

function blobsOver(wire: Wire, objects: MemoryObjects): Blobs {
  const blobs: WrittenBlobs = {
    putOnce: (key, content, record) => wire.put(`put ${key}`, () => objects.putOnce(key, content, record)),
    describe: (key) => wire.read('payload_store', `describe ${key}`, () => objects.describe(key)),
    read: (location) => wire.read('payload_store', `read ${location.objectKey}`, () => objects.read(location)),
  };
  // The layouts ask for nothing else.
  return blobs as Blobs;
}

/** As SegmentLayout, which takes its names and its turns from the machine. */
function segmentsOver(wire: Wire, objects: MemoryObjects, { defer, uuid }: Clock): PayloadStore {
  const run = async (admitted: readonly AdmittedRecord[]): Promise<PayloadLocation[]> => {
    const objectKey = `segments/${uuid()}`;
    const { content, offsets } = encodeSegment(admitted.map(({ encoded, payload }) => ({ record: encoded, payload })));
    await wire.put(`put ${objectKey}`, () => objects.putOnce(objectKey, content, undefined));
    return admitted.map(({ payload }, index) => ({ objectKey, offset: offsets[index], bytes: payload.length }));
  };
  const batcher = new Batcher({ run, defer, itemsMax: segmentRecordsMax, callsMax: putsMax });
  return { put: (admitted) => batcher.add(admitted) };
}

/** As PostgresDeviceDirectory: remembers until it is told of a change, which may be lost, or polls. */
export class ReplicaDirectory implements DeviceDirectory {
  readonly #wire: Wire;
  readonly #ledger: MemoryLedger;
  readonly #devices = new Map<string, { readonly device: Device | undefined; readonly readMs: number }>();

  constructor(wire: Wire, ledger: MemoryLedger) {
    this.#wire = wire;
    this.#ledger = ledger;
  }

  find(deviceId: string): Device | undefined | Promise<Device | undefined> {
    const known = this.#devices.get(deviceId);
    return known === undefined ? this.#load(deviceId) : known.device;
  }

  async confirm(deviceId: string): Promise<Device | undefined> {
    const known = this.#devices.get(deviceId);
    const isFresh = known !== undefined && known.readMs >= this.#ledger.scheduler.nowMs - confirmAgeMs;
    return isFresh ? known.device : this.#load(deviceId);
  }

  forget(deviceId: string): void {
    this.#devices.delete(deviceId);
  }

  async #load(deviceId: string): Promise<Device | undefined> {
    const readMs = this.#ledger.scheduler.nowMs;
    const device = await this.#wire.read('ledger', `device ${deviceId}`, () => this.#ledger.registry.current(deviceId));
    this.#devices.set(deviceId, { device, readMs });
    return device;
  }
}
