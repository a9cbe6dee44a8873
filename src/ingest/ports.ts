/** What admission needs of the world. The adapters are in ledger/, payload-store/ and telemetry/. */
import type { Device } from '../record/device.ts';
import type { ChainHead, DeviceRecord } from '../record/record.ts';
import type { RejectionCode } from '../record/rejection.ts';
import type { RateLimited } from './rate-limits.ts';
import type { Verdict } from './verdict.ts';

/** A record that passed every check and waits to be made durable. `encoded` is its postcard encoding. */
export type AdmittedRecord = {
  readonly record: DeviceRecord;
  readonly encoded: Buffer;
  readonly recordHash: Buffer;
  readonly payload: Buffer;
};

/** Where a payload lies: a whole object (`offset` undefined), or `bytes` bytes of one from `offset` on. */
export type PayloadLocation = {
  readonly objectKey: string;
  readonly offset: number | undefined;
  readonly bytes: number;
};

export interface PayloadStore {
  /**
   * Resolves once the payload, and the record with it, is durable. Overwrites nothing; putting the same record again is
   * safe. Rejects with Unavailable when it cannot tell that it is durable.
   */
  put(admitted: AdmittedRecord): Promise<PayloadLocation>;
}

export type ProposedRecord = {
  /** Of the operation log row, and of the log line that tells of it. */
  readonly decisionId: string;
  readonly record: DeviceRecord;
  readonly recordHash: Buffer;
  readonly location: PayloadLocation;
  /** Arrival minus the record's own time where that is past the tolerance either way, else undefined. */
  readonly clockSkewMs: bigint | undefined;
};

/** Consecutive records of one device, the first linking to a committed head. They commit together or not at all. */
export type ProposedRun = {
  readonly deviceId: string;
  /** Device.revision under which they were judged. */
  readonly revision: bigint;
  readonly records: readonly ProposedRecord[];
};

/** A row of the operation log: a refusal, or several that share it since they came faster than rows are written. */
export type RejectedDecision = {
  readonly decisionId: string;
  /** Empty, which is no device's id, where the refusals are of several. */
  readonly deviceId: string;
  /** 0, which no record has, where there are several refusals. */
  readonly sequence: bigint;
  readonly code: RejectionCode;
  readonly message: string;
  /** The sender's address; undefined where it is not known, or the refusals are of several. */
  readonly source: string | undefined;
  /** How many refusals it stands for. */
  readonly count: number;
  /** For equivocation: the record that claims a used sequence, whose signature is the evidence. */
  readonly evidence: { readonly encoded: Buffer; readonly recordHash: Buffer } | undefined;
};

export type CommitBatch = {
  /** At most one a device. */
  readonly runs: readonly ProposedRun[];
  readonly rejections: readonly RejectedDecision[];
};

export interface Ledger {
  /**
   * Commits rejections and runs in one transaction; answers with the devices whose run was inserted. The others lost:
   * their first sequence is taken, or their device has changed. Rejects with Unavailable when nothing was committed, with
   * BatchRefused when that is for what is in the batch, and with OutcomeUnknown when the commit may have happened or may
   * yet.
   */
  commit(batch: CommitBatch): Promise<ReadonlySet<string>>;
  /** The last committed link of each device; the genesis head for one without records. Rejects with Unavailable. */
  readHeads(deviceIds: readonly string[]): Promise<readonly ChainHead[]>;
  /** The committed record hash at each place, undefined where none is. Rejects with Unavailable. */
  readRecordHashes(places: readonly RecordPlace[]): Promise<readonly (Buffer | undefined)[]>;
}

export type RecordPlace = { readonly deviceId: string; readonly sequence: bigint };

export interface DeviceDirectory {
  /** Undefined when the registry does not know the device. May answer from memory. Rejects with Unavailable. */
  find(deviceId: string): Device | undefined | Promise<Device | undefined>;
  /**
   * The device again, read anew unless it was read just now: a refusal must not rest on a memory from before a
   * registration. Rejects with Unavailable.
   */
  confirm(deviceId: string): Promise<Device | undefined>;
  /** What is remembered of this device has proved stale. */
  forget(deviceId: string): void;
}

/** Ours failed, and nothing was changed. */
export class Unavailable extends Error {
  override readonly name: string = 'Unavailable';
  readonly component: Component;
  constructor(component: Component, message: string, options?: ErrorOptions) {
    super(message, options);
    this.component = component;
  }
}

/** Ours failed while committing: what was asked may have been done, or may be done yet. */
export class OutcomeUnknown extends Unavailable {
  override readonly name = 'OutcomeUnknown';
}

/** Nothing was committed, because the ledger cannot hold something that is in the batch. */
export class BatchRefused extends Unavailable {
  override readonly name = 'BatchRefused';
}

export type Component = 'ledger' | 'payload_store' | 'internal';

/** Who sent a record and how; `trace` is the tracer's own and opaque here. */
export type Sender = {
  readonly transport: 'http' | 'mqtt';
  readonly address: string | undefined;
  /** The names in the client certificate, undefined where none was presented. */
  readonly identities: readonly string[] | undefined;
  readonly trace?: unknown;
};

/** What a record waits for, in this order. */
export const stages = ['verify', 'place', 'payload_put', 'commit'] as const;
export type Stage = (typeof stages)[number];

/** Told of everything that happens; must not throw. */
export interface Observer {
  decided(verdict: Verdict, record: DeviceRecord, sender: Sender, decisionId: string): void;
  failed(error: Unavailable): void;
  /** Times as of Clock.now. */
  stage(stage: Stage, startMs: number, endMs: number, sender: Sender): void;
  /** Of a record that was accepted: its arrival minus its own time, and whether that is past the tolerance. */
  clockSkew(skewMs: number, flagged: boolean): void;
  committed(rows: number, lostRuns: number): void;
  headLookup(hit: boolean): void;
  /** What is exhausted where a record is answered `rate_limited`; `decided` is told as well. */
  limited(limit: RateLimited['limit'], sender: Sender): void;
}

export interface Clock {
  /** Milliseconds since the Unix epoch, with fractions. */
  now(): number;
  sleep(ms: number): Promise<void>;
  /** Runs `task` once the work at hand has been queued. */
  defer(task: () => void): void;
  /** A fresh UUID. */
  uuid(): string;
}
