import type { Break } from '../audit/findings.ts';
import { linkMismatch } from '../audit/link-mismatch.ts';
import { recordHash } from '../record/hash.ts';
import { type ChainHead, type DeviceRecord, genesis } from '../record/record.ts';
import { type VerificationKey, verifySignature } from '../record/signature.ts';

/** What has been verified of one device. */
export type VerifiedChain = {
  readonly firstSequence: bigint;
  head: ChainHead;
  records: number;
  /** Whether the signatures were verified as well: a key was given. */
  readonly signed: boolean;
};

export type ChainVerifierOptions = {
  readonly keys: ReadonlyMap<string, readonly VerificationKey[]>;
  /** Whether a device's first record may be at any sequence, its predecessor taken on trust. */
  readonly partial: boolean;
};

/** A head and some counters each, so that memory stays under a gigabyte whatever the file says. */
const devicesMax = 1_000_000;

/** Verifies records as they come, those of several devices in any interleaving. */
export class ChainVerifier {
  readonly chains = new Map<string, VerifiedChain>();
  readonly #keys: ChainVerifierOptions['keys'];
  readonly #partial: boolean;

  constructor({ keys, partial }: ChainVerifierOptions) {
    this.#keys = keys;
    this.#partial = partial;
  }

  /**
   * Takes the next record, or says how it breaks its device's chain; after that the verifier is of no more use.
   * @throws RangeError past a million devices
   */
  add(record: DeviceRecord): Break | undefined {
    const chain = this.chains.get(record.deviceId);
    const trustedHead = { sequence: record.sequence - 1n, recordHash: record.prevRecordHash };
    const head = chain?.head ?? (this.#partial ? trustedHead : genesis);
    const keys = this.#keys.get(record.deviceId);
    const found = linkBreak(head, record) ?? (keys ? signatureBreak(record, keys) : undefined);
    if (found) return found;

    const newHead = { sequence: record.sequence, recordHash: recordHash(record) };
    if (chain) {
      chain.head = newHead;
      chain.records++;
      return undefined;
    }
    if (this.chains.size === devicesMax)
      throw new RangeError(`more than ${devicesMax} devices: split the file by device`);
    const signed = keys !== undefined;
    this.chains.set(record.deviceId, { firstSequence: record.sequence, head: newHead, records: 1, signed });
    return undefined;
  }
}

function linkBreak(head: ChainHead, record: DeviceRecord): Break | undefined {
  const mismatch = linkMismatch(head, record);
  if (mismatch === undefined) return undefined;
  const laterPart = head.sequence === genesis.sequence && record.sequence > genesis.sequence + 1n;
  const problem = laterPart
    ? `${mismatch.problem} (a later part of a chain is verified with --partial)`
    : mismatch.problem;
  return { deviceId: record.deviceId, sequence: record.sequence, ...mismatch, problem };
}

function signatureBreak(record: DeviceRecord, keys: readonly VerificationKey[]): Break | undefined {
  if (keys.some((key) => verifySignature(record, key))) return undefined;
  return {
    deviceId: record.deviceId,
    sequence: record.sequence,
    problem: 'the signature is not valid',
    expected: `a signature by ${keys.map(({ scheme, publicKey }) => `${scheme}:${publicKey.toString('hex')}`).join(' or ')}`,
    actual: record.signature.toString('hex'),
  };
}
