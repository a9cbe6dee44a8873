import assert from 'node:assert/strict';
import { query } from '../../dev/database.ts';
import { eds } from '../../dev/eds.ts';
import { parseHead } from '../../src/device/ingest-answer.ts';
import { recordHash } from '../../src/record/hash.ts';
import { type ChainHead, genesis } from '../../src/record/record.ts';
import { metricTable } from '../../src/telemetry/metric-names.ts';
import type { Journal } from './journal.ts';
import { exchangeOnce } from './round-robin.ts';
import type { Site } from './story.ts';

type Row = {
  readonly device_id: string;
  readonly sequence: string;
  readonly record_hash: Buffer;
  readonly prev_record_hash: Buffer;
  readonly object_key: string;
  readonly object_offset: string | null;
  readonly payload_bytes: string;
};

type Chains = ReadonlyMap<string, readonly Row[]>;

/** Holds the service to what it has told the devices. Everything runs again, and nobody sends. */
export async function prove(site: Site, journal: Journal): Promise<void> {
  assert.deepEqual(site.fleet.crashes, [], 'a replica ended by itself: see its log');
  const chains = await readChains(site.databaseUrl);
  for (const rows of chains.values()) assertOneChain(rows);
  assertAcknowledged(chains, journal);
  await assertPayloads(site, chains, journal);
  await assertHeads(site, chains);
  await assertEquivocations(site, journal);
  await assertAuditClean(site);
}

async function readChains(databaseUrl: string): Promise<Chains> {
  const rows = (await query(
    databaseUrl,
    `SELECT device_id, sequence, record_hash, prev_record_hash, object_key, object_offset, payload_bytes
     FROM audit_records ORDER BY device_id, sequence`,
  )) as Row[];
  return Map.groupBy(rows, ({ device_id }) => device_id);
}

/** Sequences 1..n, each linking to the one before: no hole, no fork. */
function assertOneChain(rows: readonly Row[]): void {
  let head: ChainHead = genesis;
  for (const { device_id, sequence, record_hash, prev_record_hash } of rows) {
    assert.equal(BigInt(sequence), head.sequence + 1n, `a hole in the chain of ${device_id} after ${head.sequence}`);
    assert.deepEqual(prev_record_hash, head.recordHash, `a fork in the chain of ${device_id} at ${sequence}`);
    head = { sequence: BigInt(sequence), recordHash: record_hash };
  }
}

function assertAcknowledged(chains: Chains, journal: Journal): void {
  for (const [deviceId, acknowledged] of journal.chains) {
    const rows = chains.get(deviceId) ?? [];
    for (const [sequence, { recordHash }] of acknowledged)
      assert.deepEqual(rows[Number(sequence) - 1]?.record_hash, recordHash, `${deviceId} ${sequence} is not there`);
    // Every device has seen its last record through.
    assert.equal(rows.length, acknowledged.size, `records of ${deviceId} that nobody was told of`);
  }
}

async function assertPayloads({ store }: Site, chains: Chains, journal: Journal): Promise<void> {
  await using archive = await store.open();
  for (const [deviceId, acknowledged] of journal.chains) {
    for (const [sequence, { envelope }] of acknowledged) {
      const row = chains.get(deviceId)?.[Number(sequence) - 1];
      assert.ok(row);
      const { object_key: objectKey, object_offset: offset, payload_bytes: bytes } = row;
      const location = { objectKey, offset: offset === null ? undefined : Number(offset), bytes: Number(bytes) };
      assert.deepEqual(await archive.read(location), envelope.payload, `the payload of ${deviceId} ${sequence}`);
    }
  }
}

/** Each replica's answer comes from the ledger or from its memory: neither may differ from the other's. */
async function assertHeads({ fleet }: Site, chains: Chains): Promise<void> {
  for (const [deviceId, rows] of chains) {
    const last = rows.at(-1);
    for (const url of fleet.urls) {
      const exchange = await exchangeOnce(url, { method: 'GET', path: `/api/v1/devices/${deviceId}/head` });
      assert.ok(exchange.kind === 'answer', `${url} does not answer`);
      const head = parseHead(exchange.text);
      assert.equal(head?.sequence, BigInt(last?.sequence ?? 0), `the head of ${deviceId} at ${url}`);
      assert.deepEqual(head?.recordHash, last?.record_hash);
    }
  }
}

/** Never acknowledged: the journal itself would not have taken two records at one place. But kept, as evidence. */
async function assertEquivocations({ databaseUrl }: Site, journal: Journal): Promise<void> {
  const rows = await query(databaseUrl, 'SELECT record_hash FROM equivocations');
  const evidence = new Set(rows.map(({ record_hash }) => (record_hash as Buffer).toString('hex')));
  const refused = new Set(journal.equivocations.map(({ record }) => recordHash(record).toString('hex')));
  assert.deepEqual([...evidence.difference(refused)], [], 'evidence against records that were not refused');
  // Those that came faster than rows are written share one, which keeps no evidence.
  const shared = await query(databaseUrl, "SELECT FROM operation_logs WHERE code = 'equivocation' AND count > 1");
  if (shared.length > 0) return;
  assert.deepEqual([...refused.difference(evidence)], [], 'no evidence of a second record at a used sequence');
}

async function assertAuditClean({ settings }: Site): Promise<void> {
  const { code, stdout, stderr } = await eds(['audit'], settings);
  assert.equal(code, 0, `eds audit:\n${stdout}${stderr}`);
}

/** Runs that lost their place to another replica, since the start of each replica that runs now. */
export async function fenceConflicts({ fleet }: Site): Promise<number> {
  let conflicts = 0;
  for (const url of fleet.opsUrls) {
    const exchange = await exchangeOnce(url, { method: 'GET', path: '/metrics' });
    assert.ok(exchange.kind === 'answer');
    const value = new RegExp(`^${metricTable.fenceConflict.name} (\\d+)$`, 'm').exec(exchange.text)?.[1];
    assert.ok(value, `no ${metricTable.fenceConflict.name} at ${url}`);
    conflicts += Number(value);
  }
  return conflicts;
}
