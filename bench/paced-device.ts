import { DeviceChain } from '../src/device/device-chain.ts';
import { formatEnvelope } from '../src/record/format.ts';
import type { SigningKey } from '../src/record/signing-key.ts';
import type { AcknowledgedHead, PacedPlan } from './paced-plan.ts';

/** Sends the same record until it is in the ledger, as a device with a buffer does, and then the next one. */
export class PacedDevice {
  readonly #chain: DeviceChain;
  readonly #plan: PacedPlan;
  #body: Buffer;
  #acknowledged: AcknowledgedHead | undefined;

  constructor(deviceId: string, plan: PacedPlan, key: SigningKey) {
    this.#chain = new DeviceChain({ deviceId, scheme: 'payload-v1', key });
    this.#plan = plan;
    this.#body = this.#next();
  }

  /** What it sends now. */
  get body(): Buffer {
    return this.#body;
  }

  get acknowledged(): AcknowledgedHead | undefined {
    return this.#acknowledged;
  }

  /** The service holds the record of `body`. Another connection of this device may have heard so before. */
  stored(body: Buffer): void {
    if (body !== this.#body) return;
    const { sequence, recordHash } = this.#chain.head;
    const { deviceId } = this.#chain;
    this.#acknowledged = { deviceId, sequence: String(sequence), recordHash: recordHash.toString('hex') };
    this.#body = this.#next();
  }

  #next(): Buffer {
    const { deviceId, head } = this.#chain;
    const payload = Buffer.alloc(this.#plan.payloadBytes, `${deviceId} ${head.sequence} `);
    const claim = { timestampMs: BigInt(Date.now()), objectRef: `${deviceId}/${head.sequence}.bin` };
    return Buffer.from(formatEnvelope(this.#chain.next(payload, claim)));
  }
}
