import { DeviceChain } from '../../../src/device/device-chain.ts';
import type { ChainHead, Envelope } from '../../../src/record/record.ts';
import { generateSigningKey } from '../../../src/record/signing-key.ts';

const payloadBytes = 1024;

/** A device of the ladder. It goes on with its chain from step to step. */
export class Device {
  readonly id: string;
  /** Sends everything over one connection; otherwise it connects anew for each record, as over a mobile network. */
  readonly keepAlive: boolean;
  readonly #key = generateSigningKey();
  readonly #scheme: 'payload-v1' | 'record-v2';
  readonly #chain: DeviceChain;

  constructor(number: number) {
    this.id = `ladder-${number}`;
    this.keepAlive = number % 4 !== 0;
    this.#scheme = number % 2 === 0 ? 'payload-v1' : 'record-v2';
    this.#chain = new DeviceChain({ deviceId: this.id, scheme: this.#scheme, key: this.#key });
  }

  /** The last record made. A load sees each record through before it ends, so the service has it. */
  get head(): ChainHead {
    return this.#chain.head;
  }

  /** As the chart's `devices` has it. */
  get registration(): object {
    return { id: this.id, keys: [{ public_key: this.#key.publicKey.toString('hex'), scheme: this.#scheme }] };
  }

  next(): Envelope {
    const sequence = this.head.sequence + 1n;
    const payload = Buffer.alloc(payloadBytes, `${this.id} ${sequence} `);
    return this.#chain.next(payload, { timestampMs: BigInt(Date.now()), objectRef: `${this.id}/${sequence}` });
  }
}

/** Enough for group commits over three replicas, and to leave two cores room for the cluster. */
const deviceCount = 8;

export const makeFleet = (): readonly Device[] =>
  Array.from({ length: deviceCount }, (_, index) => new Device(index + 1));
