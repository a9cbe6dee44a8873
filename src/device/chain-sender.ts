import { formatEnvelope } from '../record/format.ts';
import type { ChainHead } from '../record/record.ts';
import type { Backoff } from './backoff.ts';
import { DeliveryFailed, deliver, type Rejected } from './delivery.ts';
import type { DeviceChain } from './device-chain.ts';
import { type IngestClient, ServiceUnavailable } from './ingest-client.ts';

export type ChainSenderOptions = {
  readonly chain: DeviceChain;
  readonly client: IngestClient;
  readonly backoff: Backoff;
  readonly single: boolean;
  /** The name of the payload at this sequence. */
  readonly objectRef: (sequence: bigint) => string;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  /** Told when the service's chain was not where this one thought it was. */
  readonly resumed: (head: ChainHead) => void;
};

/** How far it went: `refusal` is the record that ended it, after which nothing could link. */
export type ChainSendOutcome = {
  readonly delivered: number;
  readonly refusal: { readonly sequence: bigint; readonly answer: Rejected } | undefined;
};

/** Refusals that say only where the chain is, so that the payloads can be signed again from there. */
const outOfStepCodes = new Set(['invalid_sequence', 'invalid_previous_hash']);

/** Signs payloads onto the device's chain and sends them; finds its place again where the service has another head. */
export class ChainSender {
  readonly #options: ChainSenderOptions;

  constructor(options: ChainSenderOptions) {
    this.#options = options;
  }

  /** @throws DeliveryFailed RequestRefused */
  async send(payloads: readonly Buffer[]): Promise<ChainSendOutcome> {
    const { chain, client, backoff, now, objectRef, resumed } = this.#options;
    let rest = payloads;
    for (;;) {
      const firstSequence = chain.head.sequence + 1n;
      const lines = rest.map((payload, index) => {
        const claim = { timestampMs: BigInt(now()), objectRef: objectRef(firstSequence + BigInt(index)) };
        return formatEnvelope(chain.next(payload, claim));
      });
      const { refusals } = await this.#deliver(lines, payloads.length - rest.length);
      const first = refusals[0];
      if (first === undefined) return { delivered: payloads.length, refusal: undefined };

      const { index, answer } = first;
      rest = rest.slice(index);
      const delivered = payloads.length - rest.length;
      const refusal = { sequence: firstSequence + BigInt(index), answer };
      if (!outOfStepCodes.has(answer.code) || !(await backoff.wait())) return { delivered, refusal };
      const head = await readHead(client, chain.deviceId, backoff);
      if (head === undefined) return { delivered, refusal };
      chain.resumeFrom(head);
      resumed(head);
    }
  }

  /** As `deliver`; a failure tells of all that this call of `send` has delivered. */
  async #deliver(lines: readonly string[], deliveredBefore: number) {
    try {
      return await deliver(lines, this.#options);
    } catch (error) {
      if (!(error instanceof DeliveryFailed)) throw error;
      const { delivered, refusals } = error.outcome;
      throw new DeliveryFailed(error.message, { delivered: deliveredBefore + delivered, refusals });
    }
  }
}

/** The service's head of the device, undefined where it does not know it; waits while it is unavailable. @throws DeliveryFailed RequestRefused */
export async function readHead(
  client: IngestClient,
  deviceId: string,
  backoff: Backoff,
): Promise<ChainHead | undefined> {
  for (;;) {
    try {
      return await client.readHead(deviceId);
    } catch (error) {
      if (!(error instanceof ServiceUnavailable)) throw error;
      if (!(await backoff.wait(error.retryAfterMs)))
        throw new DeliveryFailed(error.message, { delivered: 0, refusals: [] });
    }
  }
}
