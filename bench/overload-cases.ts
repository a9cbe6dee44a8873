/** Ten times what a replica carries: from everybody, from one device, from one stranger. */
import type { Environment } from '../dev/eds.ts';
import { generateSigningKey } from '../src/record/signing-key.ts';
import {
  acceptedPerSecond,
  answerFigures,
  type Figure,
  honestFigures,
  offeredFigures,
  recoveryFigures,
} from './overload-figures.ts';
import { memoryLimitMiB, type OverloadRun } from './overload-run.ts';
import type { PacedResult } from './paced-plan.ts';

/** What one round has shown. `faults` are the promises that it broke. */
export type OverloadRound = { readonly figures: readonly Figure[]; readonly faults: readonly string[] };

export type OverloadCase = {
  readonly name: string;
  /** Of the replica. */
  readonly settings: Environment;
  readonly measure: (run: OverloadRun) => Promise<OverloadRound>;
};

const timesCapacity = 10;
const floodSeconds = 20;
const calmSeconds = 8;
/** So far below capacity that a request finds hardly anybody before it. */
const lightShare = 0.05;
/** More than the records that a pod lets in flight; each of two addresses may open 4,096. */
const crowd = 8_000;
/** A single sender's connections: more of them would not make its flood larger. */
const ownConnections = 512;
/** As the service sees them, two hosts. */
const [here, there] = ['127.0.0.2', '127.0.0.3'];

async function lostFaults(run: OverloadRun, results: readonly PacedResult[]): Promise<string[]> {
  const lost = await run.lost(results);
  return lost > 0 ? [`acknowledged records of ${lost} devices are not in the ledger`] : [];
}

const everybody: OverloadCase = {
  name: 'overload, everybody',
  settings: {},
  async measure(run) {
    const { capacity } = run;
    const seconds = run.seconds(floodSeconds);
    const devices = run.connections(crowd);
    const light = {
      ...{ from: [here], connections: 50, devices: 50 },
      perSecond: lightShare * capacity,
    };
    const flood = {
      ...{ from: [here, there], connections: devices, devices },
      ...{ perSecond: timesCapacity * capacity, seconds },
    };
    const calm = run.seconds(calmSeconds);
    const usual = await run.send({ ...light, seconds: calm });
    const memory = run.watchMemory();
    const [flooded, beside] = await run.sendBoth(flood, { ...light, seconds: seconds + calm });
    const mebibytes = memory.stop() / 2 ** 20;
    return {
      figures: [
        { name: 'capacity, records/s', value: capacity },
        ...offeredFigures(flooded, seconds, capacity),
        { name: 'accepted/s to capacity', value: acceptedPerSecond(flooded) / capacity },
        ...answerFigures(flooded),
        { name: 'RSS, MiB', value: mebibytes },
        { name: `RSS to the limit of ${memoryLimitMiB} MiB`, value: mebibytes / memoryLimitMiB },
        ...recoveryFigures(beside, seconds, usual.latencyMs.accepted.p50),
      ],
      faults: [
        ...(mebibytes > memoryLimitMiB ? [`${mebibytes.toFixed(0)} MiB are past the memory limit`] : []),
        ...(await lostFaults(run, [usual, flooded, beside])),
      ],
    };
  },
};

const wildDevice: OverloadCase = {
  name: 'overload, one wild device',
  settings: { EDS_LIMIT_DEVICE: '50:50' },
  async measure(run) {
    const { capacity } = run;
    const seconds = run.seconds(floodSeconds);
    const honest = { from: [there], connections: 20, devices: 20, perSecond: 200, seconds };
    const wild = {
      ...{ from: [here], connections: ownConnections, devices: 1 },
      ...{ perSecond: timesCapacity * capacity, seconds },
    };
    const alone = await run.send(honest);
    const [beside, flooded] = await run.sendBoth(honest, wild);
    return {
      figures: [
        ...offeredFigures(flooded, seconds, capacity),
        ...answerFigures(flooded),
        ...honestFigures(alone, beside),
      ],
      faults: await lostFaults(run, [alone, beside, flooded]),
    };
  },
};

const badSignatures: OverloadCase = {
  name: 'overload, bad signatures',
  settings: {},
  async measure(run) {
    const { capacity } = run;
    const seconds = run.seconds(floodSeconds);
    const honest = { from: [there], connections: 256, devices: 256, perSecond: capacity / 2, seconds };
    const forged = {
      ...{ from: [here], connections: ownConnections, devices: ownConnections },
      ...{ perSecond: timesCapacity * capacity, seconds },
      privateKeyHex: generateSigningKey().seed.toString('hex'),
    };
    const alone = await run.send(honest);
    const before = await run.refusals();
    const [beside, flooded] = await run.sendBoth(honest, forged);
    const after = await run.refusals();
    const refused = flooded.answers.invalid_signature ?? 0;
    const logged = after.count - before.count;
    return {
      figures: [
        ...offeredFigures(flooded, seconds, capacity),
        ...answerFigures(flooded),
        { name: 'signatures refused/s', value: refused / seconds },
        { name: 'rows in the operation log/s', value: (after.rows - before.rows) / seconds },
        ...honestFigures(alone, beside),
      ],
      faults: [
        ...(logged < refused ? [`${refused} refusals were answered, ${logged} are in the log`] : []),
        ...(await lostFaults(run, [alone, beside])),
      ],
    };
  },
};

export const overloadCases: readonly OverloadCase[] = [everybody, wildDevice, badSignatures];
