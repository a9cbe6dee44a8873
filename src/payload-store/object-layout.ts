import { type AdmittedRecord, type PayloadLocation, type PayloadStore, Unavailable } from '../ingest/ports.ts';
import { objectKeyOf } from '../record/parse.ts';
import { type Blobs, LookForbidden, PayloadMissing } from './blobs.ts';
import { Limiter } from './limiter.ts';
import { PutDeadline, putDeadlineMs } from './put-deadline.ts';

/** Keys that the service names itself; a device's `object_ref` must not write there. */
const ownPrefixes = ['records/', 'segments/'];

/**
 * One object a record, under the key that its `object_ref` names. Where that key is taken by anything else, under
 * `records/<record hash>`: only this record can be there, so squatting on a key achieves nothing.
 */
export class ObjectLayout implements PayloadStore {
  readonly #blobs: Blobs;
  readonly #puts: Limiter;
  readonly #deadlineMs: number;

  constructor(blobs: Blobs, putsMax: number, deadlineMs = putDeadlineMs) {
    this.#blobs = blobs;
    this.#puts = new Limiter(putsMax);
    this.#deadlineMs = deadlineMs;
  }

  put(admitted: AdmittedRecord): Promise<PayloadLocation> {
    const deadline = new PutDeadline(this.#deadlineMs);
    return this.#puts.run(deadline, async () => {
      const { endMs } = deadline;
      const objectKey = (await this.#putAsClaimed(admitted, endMs)) ?? (await this.#putByHash(admitted, endMs));
      return { objectKey, offset: undefined, bytes: admitted.payload.length };
    });
  }

  /** The key, or undefined when the record cannot have the one it claims. */
  async #putAsClaimed(admitted: AdmittedRecord, endMs: number): Promise<string | undefined> {
    const key = objectKeyOf(admitted.record.objectRef);
    if (ownPrefixes.some((prefix) => key.startsWith(prefix))) return undefined;
    const outcome = await this.#blobs.putOnce(key, admitted.payload, admitted.encoded, endMs);
    if (outcome === 'created') return key;
    return outcome === 'taken' && (await this.#holds(key, admitted, endMs)) ? key : undefined;
  }

  async #putByHash({ recordHash, payload, encoded }: AdmittedRecord, endMs: number): Promise<string> {
    const key = `records/${recordHash.toString('hex')}`;
    // Taken: by an earlier put of this very record, since the key is its hash.
    if ((await this.#blobs.putOnce(key, payload, encoded, endMs)) === 'unusable')
      throw new Unavailable('payload_store', `the payload store refuses the key ${key}`);
    return key;
  }

  /**
   * Whether the object is this very record with this payload, put before an answer was lost. Credentials that may only
   * write cannot look: then it counts as foreign, and a retried record is stored a second time by its hash.
   */
  async #holds(key: string, { payload, encoded }: AdmittedRecord, endMs: number): Promise<boolean> {
    try {
      const { bytes, record } = await this.#blobs.describe(key, endMs);
      if (bytes !== payload.length || record === undefined || !record.equals(encoded)) return false;
      return payload.equals(await this.#blobs.read({ objectKey: key, offset: undefined, bytes }, endMs));
    } catch (error) {
      if (error instanceof PayloadMissing || error instanceof LookForbidden) return false;
      throw error;
    }
  }
}
