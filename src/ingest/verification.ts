import type { Device } from '../record/device.ts';
import { encodeRecord } from '../record/encoding.ts';
import { blake3Hash } from '../record/hash.ts';
import { judgeAuthor, judgeIdentity, judgeObjectRef, judgePayload, type ObjectRefScope } from '../record/judge.ts';
import { type Rejection, type RejectionCode, reject } from '../record/rejection.ts';
import type { Candidate } from './candidate.ts';
import type { AdmittedRecord, Clock, DeviceDirectory, Observer } from './ports.ts';
import type { RateLimits } from './rate-limits.ts';

export type VerificationOptions = {
  readonly devices: DeviceDirectory;
  readonly observer: Observer;
  readonly clock: Pick<Clock, 'now'>;
  readonly objectRefScope: ObjectRefScope;
  readonly limits: RateLimits;
};

/** Refusals for what the registry has of the device. */
const codesOfDevice: ReadonlySet<RejectionCode> = new Set([
  'identity_mismatch',
  'unknown_device',
  'device_suspended',
  'invalid_signature',
]);

/** A charged record is remembered for as long as a generation lasts: half a minute and more at two thousand a second. */
const chargedPerGeneration = 65_536;
/** Of a hash: a number that a small integer set holds well. Whoever finds two records that share it has saved one token. */
const chargedKeyBytes = 6;

/** The checks that need only the record and its device, cheapest first. */
export class Verification {
  readonly #options: VerificationOptions;
  #charged = new Set<number>();
  #chargedBefore: ReadonlySet<number> = new Set();

  constructor(options: VerificationOptions) {
    this.#options = options;
  }

  /**
   * Answers with the device that the record passed for. What a remembered device would refuse is judged once more by what
   * the registry says now: the device may have been registered, or resumed, or given another key a moment ago.
   */
  async verify(candidate: Candidate): Promise<Device | Rejection> {
    const { deviceId } = candidate.envelope.record;
    const { devices } = this.#options;
    const found = devices.find(deviceId);
    const device = found instanceof Promise ? await found : found;
    const result = this.#judge(candidate, device);
    if (found instanceof Promise || !('code' in result) || !codesOfDevice.has(result.code)) return result;
    const confirmed = await devices.confirm(deviceId);
    return confirmed?.revision === device?.revision ? result : this.#judge(candidate, confirmed);
  }

  #judge(candidate: Candidate, device: Device | undefined): Device | Rejection {
    const { envelope, sender } = candidate;
    const { record, payload } = envelope;
    const { clock, observer, objectRefScope } = this.#options;
    const startMs = clock.now();
    const refusal =
      (candidate.admitted === undefined ? judgePayload(envelope) : undefined) ??
      judgeIdentity(record, device, sender.identities) ??
      judgeAuthor(record, device, startMs) ??
      judgeObjectRef(record, objectRefScope);
    if (refusal === undefined && candidate.admitted === undefined) {
      const encoded = encodeRecord(record);
      candidate.admitted = { record, encoded, recordHash: blake3Hash(encoded), payload };
      this.#charge(candidate.admitted);
    }
    observer.stage('verify', startMs, clock.now(), sender);
    return refusal ?? device ?? reject.unknownDevice(record);
  }

  /**
   * Now that the device has certainly signed it, and once: sent again after a lost answer, or by somebody who has listened,
   * it takes nothing of the device's rate. Whoever sends it all day is held by the rates of its source and of the pod.
   */
  #charge({ record, recordHash }: AdmittedRecord): void {
    const key = recordHash.readUIntBE(0, chargedKeyBytes);
    if (this.#charged.has(key) || this.#chargedBefore.has(key)) return;
    if (this.#charged.size >= chargedPerGeneration) {
      this.#chargedBefore = this.#charged;
      this.#charged = new Set();
    }
    this.#charged.add(key);
    this.#options.limits.chargeDevice(record.deviceId);
  }
}
