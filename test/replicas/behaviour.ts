import assert from 'node:assert/strict';
import { recordHash } from '../../src/record/hash.ts';
import type { Envelope } from '../../src/record/record.ts';
import type { Device, Verdict } from './device.ts';
import type { Journal } from './journal.ts';

/** What a device does until `ending` aborts. It then sees through what it has begun. */
export type Behaviour = (device: Device, journal: Journal, ending: AbortSignal) => Promise<void>;

const pipelineMax = 8;
const batchMax = 40;
/** How often a device sends again what it was acknowledged long ago. */
const repeatedProbability = 0.1;

/** Each record after the verdict on the one before it. */
export const oneByOne: Behaviour = async (device, journal, ending) => {
  while (!ending.aborted) {
    for (const envelope of device.make(1)) await deliverMaybeTwice(device, envelope);
    await repeatMaybe(device, journal);
  }
};

/**
 * Several records at once, each in a request of its own, to whatever replica comes next. A record whose predecessor was
 * lost on the way may hear so: it goes again behind it.
 */
export const pipelining: Behaviour = async (device, journal, ending) => {
  while (!ending.aborted) {
    let pending = device.make(2 + device.choices.below(pipelineMax - 1));
    while (pending.length > 0) {
      const verdicts = await Promise.all(pending.map((envelope) => deliverMaybeTwice(device, envelope, ['ahead'])));
      pending = pending.filter((_, index) => verdicts[index] === 'ahead');
    }
    await repeatMaybe(device, journal);
  }
};

/** Several records in one request. */
export const batching: Behaviour = async (device, journal, ending) => {
  while (!ending.aborted) {
    const envelopes = device.make(1 + device.choices.below(batchMax));
    if (device.choices.chance(device.doubledProbability))
      await Promise.all([device.deliverBatch(envelopes), device.deliverBatch(envelopes)]);
    else await device.deliverBatch(envelopes);
    await repeatMaybe(device, journal);
  }
};

/** Two signed records for the same place, at the same time or the second after the first was acknowledged. */
export const equivocating: Behaviour = async (device, journal, ending) => {
  while (!ending.aborted) {
    const { head } = device.chain;
    const twins = [0, 1].flatMap(() => {
      device.chain.resumeFrom(head);
      return device.make(1);
    });
    const racing = device.choices.chance(0.5);
    const verdicts = racing
      ? await Promise.all(twins.map((twin) => device.deliver(twin, ['equivocation'])))
      : await inTurn(twins, (twin, index) => device.deliver(twin, index === 0 ? [] : ['equivocation']));
    assert.deepEqual(verdicts.toSorted(), ['delivered', 'equivocation'], `one of two records of ${device.id}`);
    for (const [index, twin] of twins.entries()) {
      if (verdicts[index] === 'equivocation') journal.equivocations.push(twin);
      else device.chain.resumeFrom({ sequence: twin.record.sequence, recordHash: recordHash(twin.record) });
    }
    for (const envelope of device.make(device.choices.below(3))) await device.deliver(envelope);
  }
};

async function deliverMaybeTwice(device: Device, envelope: Envelope, allowed: Verdict[] = []): Promise<Verdict> {
  if (!device.choices.chance(device.doubledProbability)) return device.deliver(envelope, allowed);
  const [verdict] = await Promise.all([device.deliver(envelope, allowed), device.attempt(envelope, allowed)]);
  return verdict;
}

/** Something that was acknowledged is sent once more: whoever gets it must know it. */
async function repeatMaybe(device: Device, journal: Journal): Promise<void> {
  if (!device.choices.chance(repeatedProbability)) return;
  const chain = [...(journal.chains.get(device.id)?.values() ?? [])];
  await device.attempt(device.choices.pick(chain).envelope);
}

async function inTurn<T, R>(items: readonly T[], act: (item: T, index: number) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const [index, item] of items.entries()) results.push(await act(item, index));
  return results;
}
