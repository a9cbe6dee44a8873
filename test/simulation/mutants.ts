import { BatchRefused, type CommitBatch, type ProposedRecord, type RecordPlace } from '../../src/ingest/ports.ts';
import type { PutOutcome } from '../../src/payload-store/blobs.ts';
import type { Device } from '../../src/record/device.ts';
import { type ChainHead, genesis } from '../../src/record/record.ts';
import { MemoryLedger } from './memory-ledger.ts';
import { MemoryObjects } from './memory-objects.ts';
import { ReplicaDirectory } from './replica.ts';
import { sound, type Variant } from './schedule.ts';

/** Ledgers, object stores and registries that break what admission relies on. The simulation has to notice each of them. */

const lateMs = 50;

/** A plain multi-row `ON CONFLICT DO NOTHING`: the rest of a run goes in although its first lost. */
class RestFollowsLoser extends MemoryLedger {
  override commit(batch: CommitBatch): Set<string> {
    const runs = batch.runs.map((run) => {
      const free = run.records.filter(({ record }) => this.rowAt(run.deviceId, record.sequence) === undefined);
      return { ...run, records: free };
    });
    return super.commit({ ...batch, runs });
  }
}

class NoFence extends MemoryLedger {
  protected override taken(): boolean {
    return false;
  }
}

class RevisionIgnored extends MemoryLedger {
  protected override unchanged(): boolean {
    return true;
  }
}

class AnsweredBeforeInserted extends MemoryLedger {
  override commit(batch: CommitBatch): Set<string> {
    this.scheduler.after(lateMs, () => {
      try {
        super.commit(batch);
      } catch (error) {
        if (!(error instanceof BatchRefused)) throw error;
      }
    });
    return new Set(batch.runs.filter((run) => this.admits(run)).map(({ deviceId }) => deviceId));
  }
}

class LosersAnsweredAsInserted extends MemoryLedger {
  override commit(batch: CommitBatch): Set<string> {
    super.commit(batch);
    return new Set(batch.runs.map(({ deviceId }) => deviceId));
  }
}

class RefusalsNotLogged extends MemoryLedger {
  override commit(batch: CommitBatch): Set<string> {
    return super.commit({ ...batch, rejections: [] });
  }
}

class SharedRowsDropped extends MemoryLedger {
  override commit(batch: CommitBatch): Set<string> {
    return super.commit({ ...batch, rejections: batch.rejections.filter(({ count }) => count === 1) });
  }
}

class SharedRowsCountedAsOne extends MemoryLedger {
  override commit(batch: CommitBatch): Set<string> {
    return super.commit({ ...batch, rejections: batch.rejections.map((rejection) => ({ ...rejection, count: 1 })) });
  }
}

class SharedRowsAnsweredBeforeLogged extends MemoryLedger {
  override commit(batch: CommitBatch): Set<string> {
    const shared = batch.rejections.filter(({ count }) => count > 1);
    this.scheduler.after(lateMs, () => super.commit({ runs: [], rejections: shared }));
    return super.commit({ ...batch, rejections: batch.rejections.filter(({ count }) => count === 1) });
  }
}

class SkewDropped extends MemoryLedger {
  protected override insert(proposed: ProposedRecord): void {
    super.insert({ ...proposed, clockSkewMs: undefined });
  }
}

class EvidenceDropped extends MemoryLedger {
  override commit(batch: CommitBatch): Set<string> {
    const rejections = batch.rejections.map((rejection) => ({ ...rejection, evidence: undefined }));
    return super.commit({ ...batch, rejections });
  }
}

/** A statement for each run: when one is refused, others have been committed, although BatchRefused says otherwise. */
class RunByRun extends MemoryLedger {
  override commit({ runs, rejections }: CommitBatch): Set<string> {
    const inserted = runs.map((run) => super.commit({ runs: [run], rejections: [] }));
    super.commit({ runs: [], rejections });
    return new Set(inserted.flatMap((devices) => [...devices]));
  }
}

/** Reads a standby that is behind. */
class HeadsFromBefore extends MemoryLedger {
  override readHeads(deviceIds: readonly string[]): ChainHead[] {
    const shownUntilMs = this.scheduler.nowMs - 2_000;
    return deviceIds.map((id) => {
      const shown = this.rows.get(id)?.findLast(({ committedMs }) => committedMs <= shownUntilMs);
      return shown === undefined ? genesis : { sequence: shown.record.sequence, recordHash: shown.recordHash };
    });
  }
}

class HashesOfTheHead extends MemoryLedger {
  override readRecordHashes(places: readonly RecordPlace[]): (Buffer | undefined)[] {
    return this.readHeads(places.map(({ deviceId }) => deviceId)).map(({ recordHash }) => recordHash);
  }
}

class Overwriting extends MemoryObjects {
  override putOnce(key: string, content: Buffer, record: Buffer | undefined): PutOutcome {
    this.objects.set(key, { content, record });
    return 'created';
  }
}

class AnsweredBeforeDurable extends MemoryObjects {
  override putOnce(key: string, content: Buffer, record: Buffer | undefined): PutOutcome {
    if (this.objects.has(key)) return 'taken';
    this.scheduler.after(lateMs, () => super.putOnce(key, content, record));
    return 'created';
  }
}

class TakenAnsweredAsCreated extends MemoryObjects {
  override putOnce(key: string, content: Buffer, record: Buffer | undefined): PutOutcome {
    super.putOnce(key, content, record);
    return 'created';
  }
}

class ConfirmedFromMemory extends ReplicaDirectory {
  override async confirm(deviceId: string): Promise<Device | undefined> {
    return this.find(deviceId);
  }
}

const ledger = (Ledger: typeof MemoryLedger): Variant => ({ ...sound, Ledger });
const objects = (Objects: typeof MemoryObjects): Variant => ({ ...sound, Objects });
const directory = (Directory: typeof ReplicaDirectory): Variant => ({ ...sound, Directory });

export type Mutant = { readonly name: string; readonly variant: Variant; readonly violates: RegExp };

export const mutants: readonly Mutant[] = [
  { name: 'the rest of a run is inserted although its first lost', variant: ledger(RestFollowsLoser), violates: /I2/ },
  { name: 'no fence', variant: ledger(NoFence), violates: /I2|I4/ },
  { name: 'a device that has changed is not noticed', variant: ledger(RevisionIgnored), violates: /I3/ },
  { name: 'a commit is answered before it is done', variant: ledger(AnsweredBeforeInserted), violates: /I1/ },
  { name: 'a lost run is answered as inserted', variant: ledger(LosersAnsweredAsInserted), violates: /I1|I3/ },
  { name: 'refusals are not logged', variant: ledger(RefusalsNotLogged), violates: /I1/ },
  { name: 'a row that refusals share is lost', variant: ledger(SharedRowsDropped), violates: /I1/ },
  { name: 'a row that refusals share counts one of them', variant: ledger(SharedRowsCountedAsOne), violates: /I1/ },
  {
    name: 'refusals that share a row are answered before it is logged',
    variant: ledger(SharedRowsAnsweredBeforeLogged),
    violates: /I1/,
  },
  { name: 'evidence of equivocation is dropped', variant: ledger(EvidenceDropped), violates: /I3/ },
  { name: 'a clock that is far off is not told', variant: ledger(SkewDropped), violates: /clock/ },
  {
    name: 'a refusal rests on what was remembered of the device',
    variant: directory(ConfirmedFromMemory),
    violates: /I3|behaves, and was told/,
  },
  { name: 'a batch is not one transaction', variant: ledger(RunByRun), violates: /I1|I4/ },
  { name: 'heads are read from a standby', variant: ledger(HeadsFromBefore), violates: /I3/ },
  { name: 'hashes are read from the wrong place', variant: ledger(HashesOfTheHead), violates: /I3/ },
  { name: 'objects are overwritten', variant: objects(Overwriting), violates: /I5/ },
  { name: 'a put is answered before it is durable', variant: objects(AnsweredBeforeDurable), violates: /I1/ },
  { name: 'a taken key is answered as created', variant: objects(TakenAnsweredAsCreated), violates: /I5/ },
];
