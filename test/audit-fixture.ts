/** A good ledger with its payloads, made by the real stores, and what it takes to damage it. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { query } from '../dev/database.ts';
import { DeviceChain } from '../src/device/device-chain.ts';
import type { AdmittedRecord, CommitBatch, ProposedRecord, RejectedDecision } from '../src/ingest/ports.ts';
import { DeviceRegistry } from '../src/ledger/device-registry.ts';
import { PostgresLedger } from '../src/ledger/ledger.ts';
import { openPool } from '../src/ledger/pool.ts';
import { pathOfKey } from '../src/payload-store/object-path.ts';
import { openDirectoryStore } from '../src/payload-store/open.ts';
import type { PayloadLayout } from '../src/payload-store/payload-archive.ts';
import { encodeRecord } from '../src/record/encoding.ts';
import { recordHash } from '../src/record/hash.ts';
import type { Envelope } from '../src/record/record.ts';
import type { SignatureScheme } from '../src/record/signature.ts';
import { generateSigningKey } from '../src/record/signing-key.ts';
import { type CommandLineResult, eds } from './support/command-line.ts';
import { createTestDatabase } from './support/postgres.ts';

export class AuditedLedger implements AsyncDisposable {
  readonly databaseUrl: string;
  readonly directory: string;
  readonly layout: PayloadLayout;
  readonly #resources: AsyncDisposableStack;
  readonly #pool: ReturnType<typeof openPool>;
  readonly #archive: Awaited<ReturnType<typeof openDirectoryStore>>;

  private constructor(
    parts: Pick<AuditedLedger, 'databaseUrl' | 'directory' | 'layout'>,
    archive: Awaited<ReturnType<typeof openDirectoryStore>>,
    resources: AsyncDisposableStack,
  ) {
    this.databaseUrl = parts.databaseUrl;
    this.directory = parts.directory;
    this.layout = parts.layout;
    this.#archive = resources.use(archive);
    this.#resources = resources;
    this.#pool = openPool({ ...parts, connectionsMax: 2, applicationName: 'audit test' }, () => {});
    resources.defer(() => this.#pool.end());
  }

  /** Two devices: lift-01 with four records, gate-07 (record-v2) with two. */
  static async create(t: TestContext, layout: PayloadLayout): Promise<AuditedLedger> {
    const { url: databaseUrl } = await createTestDatabase(t);
    await using resources = new AsyncDisposableStack();
    const directory = await mkdtemp(join(tmpdir(), 'eds-audit-'));
    resources.defer(() => rm(directory, { recursive: true }));
    const archive = await openDirectoryStore({ directory, layout });
    const ledger = new AuditedLedger({ databaseUrl, directory, layout }, archive, resources.move());
    const lift = await ledger.register('lift-01', 'payload-v1');
    await ledger.commit(envelopes(lift, 4));
    await ledger.commit(envelopes(await ledger.register('gate-07', 'record-v2'), 2));
    return ledger;
  }

  async register(deviceId: string, scheme: SignatureScheme): Promise<DeviceChain> {
    const key = generateSigningKey();
    await new DeviceRegistry(this.#pool).register(deviceId, { scheme, publicKey: key.publicKey });
    return new DeviceChain({ deviceId, scheme, key });
  }

  /** Stores payloads and commits the records, as admission does once it has judged them. */
  async commit(admitted: readonly Envelope[], rejections: readonly RejectedDecision[] = []): Promise<void> {
    const records = await this.store(admitted);
    const deviceId = admitted[0]?.record.deviceId ?? '';
    const device = await new DeviceRegistry(this.#pool).find(deviceId);
    const runs: CommitBatch['runs'] = device ? [{ deviceId, revision: device.revision, records }] : [];
    await new PostgresLedger(this.#pool).commit({ runs, rejections });
  }

  /** Stores payloads and dies before the commit. */
  store(admitted: readonly Envelope[]): Promise<ProposedRecord[]> {
    return Promise.all(
      admitted.map(async (envelope) => {
        const one: AdmittedRecord = {
          ...envelope,
          encoded: encodeRecord(envelope.record),
          recordHash: recordHash(envelope.record),
        };
        const location = await this.#archive.put(one);
        return {
          decisionId: randomUUID(),
          record: one.record,
          recordHash: one.recordHash,
          location,
          clockSkewMs: undefined,
        };
      }),
    );
  }

  /** As a superuser who has switched the append-only triggers off. */
  async tamper(...statements: readonly string[]): Promise<void> {
    await query(this.databaseUrl, 'SET session_replication_role = replica', ...statements);
  }

  query(statement: string): Promise<Record<string, unknown>[]> {
    return query(this.databaseUrl, statement);
  }

  async objectFile(deviceId: string, sequence: number): Promise<string> {
    const [row] = await this.query(
      `SELECT object_key FROM audit_records WHERE device_id = '${deviceId}' AND sequence = ${sequence}`,
    );
    return join(this.directory, pathOfKey(String(row?.object_key)));
  }

  /** Replaces text in the file that holds the record's payload, by other text of the same length. */
  async changeObject(deviceId: string, sequence: number, from: string, to: string): Promise<void> {
    const file = await this.objectFile(deviceId, sequence);
    const before = (await readFile(file)).toString('latin1');
    if (!before.includes(from)) throw new Error(`${file} does not contain '${from}'`);
    await writeFile(file, before.replace(from, to), 'latin1');
  }

  eds(...args: readonly string[]): Promise<CommandLineResult> {
    return eds(args, { env: { DATABASE_URL: this.databaseUrl, EDS_STORE_DIR: this.directory } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources[Symbol.asyncDispose]();
  }
}

/** The next records of the chain, payload `payload <sequence> of <device>`. */
export function envelopes(chain: DeviceChain, count: number): Envelope[] {
  return Array.from({ length: count }, () => {
    const sequence = chain.head.sequence + 1n;
    const claim = { timestampMs: 1_700_000_000_000n + sequence, objectRef: `${chain.deviceId}/${sequence}.bin` };
    return chain.next(Buffer.from(`payload ${sequence} of ${chain.deviceId}`), claim);
  });
}
