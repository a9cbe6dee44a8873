/** For the tests beside: a relay's stores in a folder of the test's own, without processes and without a centre. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { AdmittedRecord, ProposedRun } from '../ingest/ports.ts';
import { encodeRecord } from '../record/encoding.ts';
import { blake3Hash } from '../record/hash.ts';
import type { ChainHead, Envelope } from '../record/record.ts';
import { ChainLinks } from './chain-links.ts';
import { ChainStart } from './chain-start.ts';
import { ForwardQueue } from './forward-queue.ts';
import { openRelayDatabase } from './relay-database.ts';
import { heldPayloads, RelayLedger } from './relay-ledger.ts';

export type FakeCentre = { heads: Map<string, ChainHead> | 'out of reach' };

export function openStores(t: TestContext, queueBytesMax = 1e9) {
  const directory = mkdtempSync(join(tmpdir(), 'eds-relay-unit-'));
  const database = openRelayDatabase(directory);
  t.after(() => {
    database.close();
    rmSync(directory, { recursive: true });
  });
  const now = () => 1_700_000_000_000;
  const centre: FakeCentre = { heads: 'out of reach' };
  const links = new ChainLinks(database);
  const queue = new ForwardQueue({ database, links, now });
  const head = async (deviceId: string) => (centre.heads === 'out of reach' ? undefined : centre.heads.get(deviceId));
  const chainStart = new ChainStart({ links, queue, centre: { head } });
  const ledger = new RelayLedger({ database, links, queue, chainStart, queueBytesMax, now });
  return { database, centre, links, queue, chainStart, ledger };
}

export function admitted({ record, payload }: Envelope): AdmittedRecord {
  const encoded = encodeRecord(record);
  return { record, encoded, recordHash: blake3Hash(encoded), payload };
}

/** Records of one device, put and proposed as admission does it. */
export async function runOf(envelopes: readonly Envelope[]): Promise<ProposedRun> {
  const records = envelopes.map(async (envelope) => {
    const put = admitted(envelope);
    const { record, recordHash } = put;
    return {
      decisionId: 'decision',
      record,
      recordHash,
      location: await heldPayloads.put(put),
      clockSkewMs: undefined,
    };
  });
  return { deviceId: envelopes[0]?.record.deviceId ?? '', revision: 0n, records: await Promise.all(records) };
}
