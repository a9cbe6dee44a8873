/** I8 re-checkable: the audit is clean on what was admitted, and names what has been changed since. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { access, rm, truncate } from 'node:fs/promises';
import test from 'node:test';
import pg from 'pg';
import { audit } from '../src/audit/audit.ts';
import { PostgresSnapshot } from '../src/ledger/ledger-snapshot.ts';
import { openDirectoryStore } from '../src/payload-store/open.ts';
import type { PayloadLayout } from '../src/payload-store/payload-archive.ts';
import { ArchiveCopies } from '../src/payload-store/payload-copies.ts';
import { encodeRecord } from '../src/record/encoding.ts';
import { recordHash } from '../src/record/hash.ts';
import type { DeviceRecord } from '../src/record/record.ts';
import { AuditedLedger, envelopes } from './audit-fixture.ts';

const layouts: readonly PayloadLayout[] = ['object', 'segment'];

for (const layout of layouts) {
  test(`I8: an untouched ledger is clean, with each payload read back (${layout})`, async (t) => {
    await using ledger = await AuditedLedger.create(t, layout);
    const { exitCode, stdout, stderr } = await ledger.eds('audit');
    assert.equal(stderr, '');
    assert.equal(exitCode, 0);
    assert.match(stdout, /^AUDIT_CLEAN\ndevices: 2 with records, of 2 registered\nrecords: 6,/);
    assert.match(stdout, /payloads: 6 of 120 bytes in \d objects, each read and hashed/);
    assert.doesNotMatch(stdout, /without a record/);
    const json = JSON.parse((await ledger.eds('audit', '--json')).stdout);
    assert.equal(json.clean, true);
    assert.equal(json.payloads.objects, layout === 'object' ? 6 : 2);
    assert.equal(json.payloads.unreferenced, 0);
  });
}

type Tampering = {
  readonly what: string;
  readonly layouts?: readonly PayloadLayout[];
  readonly tamper: (ledger: AuditedLedger) => Promise<void>;
  /** Of the first break: device and sequence, and what is wrong. */
  readonly named: RegExp;
  /** Records that are affected, 1 when left out; a segment's damage can affect several. */
  readonly breaks?: number | Readonly<Record<PayloadLayout, number>>;
};

const place = (sequence: number) => `device_id = 'lift-01' AND sequence = ${sequence}`;

const tamperings: readonly Tampering[] = [
  {
    what: 'a payload was changed in the store',
    tamper: (ledger) => ledger.changeObject('lift-01', 2, 'payload 2', 'payload X'),
    named:
      /device=lift-01 sequence=2: the payload in \S+( at \d+)? is not the one that was admitted: expected payload_hash/,
  },
  {
    what: 'a payload was cut short',
    layouts: ['object'],
    tamper: async (ledger) => {
      const file = await ledger.objectFile('lift-01', 2);
      await truncate(file, 400);
    },
    named:
      /device=lift-01 sequence=2: its payload is not in the payload store: expected 20 bytes in lift-01\/2.bin, got/,
  },
  {
    what: 'an object was removed',
    tamper: async (ledger) => rm(await ledger.objectFile('gate-07', 1)),
    named:
      /device=gate-07 sequence=1: its payload is not in the payload store: expected \d+ bytes in \S+.* got no such bytes/,
    breaks: { object: 1, segment: 2 },
  },
  {
    what: 'a segment was damaged between its payloads',
    layouts: ['segment'],
    tamper: (ledger) => ledger.changeObject('lift-01', 1, 'edgesentry-segment-1', 'edgesentry-segment-2'),
    named: /device=lift-01 sequence=1: its segment is damaged: .*the magic is missing/,
    breaks: 4,
  },
  {
    what: 'the record beside a payload was changed',
    layouts: ['segment'],
    tamper: (ledger) => ledger.changeObject('lift-01', 3, 'lift-01/3.bin', 'lift-01/9.bin'),
    named: /device=lift-01 sequence=3: the record beside the payload in .* is not that of the ledger/,
  },
  {
    what: 'a field of a record was changed',
    tamper: (ledger) => ledger.tamper(`UPDATE audit_records SET timestamp_ms = 1 WHERE ${place(2)}`),
    named: /device=lift-01 sequence=2: the record is not the one that was admitted: expected record_hash/,
  },
  {
    what: 'a signature was replaced, and the record hash with it',
    layouts: ['object'],
    tamper: async (ledger) => {
      const forged = { ...(await lastOfGate(ledger)), signature: Buffer.alloc(64, 7) };
      await ledger.tamper(
        `UPDATE audit_records SET signature = '${bytea(forged.signature)}', record_hash = '${bytea(recordHash(forged))}'
         WHERE device_id = 'gate-07' AND sequence = 2`,
      );
    },
    named: /device=gate-07 sequence=2: the signature is not valid: expected a signature by record-v2:/,
    breaks: 2,
  },
  {
    what: 'a record in the middle was deleted',
    tamper: (ledger) => ledger.tamper(`DELETE FROM audit_records WHERE ${place(2)}`),
    named: /device=lift-01 sequence=3: a record is missing: expected sequence 2, got sequence 3/,
    breaks: 2,
  },
  {
    what: 'the first record was deleted',
    tamper: (ledger) => ledger.tamper(`DELETE FROM audit_records WHERE ${place(1)}`),
    named: /device=lift-01 sequence=2: the chain does not start at sequence 1/,
    breaks: 2,
  },
  {
    what: 'the last record was deleted, which only the operation log tells',
    tamper: (ledger) => ledger.tamper(`DELETE FROM audit_records WHERE ${place(4)}`),
    named: /device=lift-01 sequence=4: the operation log says that it was accepted, and the ledger does not have it/,
  },
  {
    what: 'two records were swapped',
    tamper: (ledger) =>
      ledger.tamper(
        `UPDATE audit_records SET sequence = 99 WHERE ${place(2)}`,
        `UPDATE audit_records SET sequence = 2 WHERE ${place(3)}`,
        `UPDATE audit_records SET sequence = 3 WHERE ${place(99)}`,
      ),
    named: /device=lift-01 sequence=2: it does not link to the record before it: expected prev_record_hash/,
    breaks: 3,
  },
  {
    what: 'the log of an acceptance was deleted',
    tamper: (ledger) => ledger.tamper(`DELETE FROM operation_logs WHERE ${place(2)}`),
    named: /device=lift-01 sequence=2: the operation log does not say that it was accepted/,
  },
  {
    what: 'its key had been revoked when a record was accepted',
    tamper: (ledger) =>
      ledger.tamper(
        `UPDATE device_keys SET revoked_at = now() - interval '1 hour', valid_from = now() - interval '2 hours'
         WHERE device_id = 'lift-01'`,
      ),
    named: /device=lift-01 sequence=1: it is signed with a key that did not count when it was accepted: .* revoked 2/,
    breaks: 4,
  },
  {
    what: 'a device was deleted from the registry',
    tamper: (ledger) =>
      ledger.tamper("DELETE FROM device_keys WHERE device_id = 'gate-07'", "DELETE FROM devices WHERE id = 'gate-07'"),
    named: /device=gate-07 sequence=1: its device is not in the registry/,
    breaks: 2,
  },
];

async function lastOfGate({ databaseUrl }: AuditedLedger): Promise<DeviceRecord> {
  const { signal } = new AbortController();
  await using snapshot = await PostgresSnapshot.open({ databaseUrl, deviceIds: ['gate-07'], signal });
  for await (const page of snapshot.records()) return page[1]?.record ?? assert.fail();
  return assert.fail();
}

const bytea = (bytes: Buffer) => `\\x${bytes.toString('hex')}`;

for (const { what, tamper, named, breaks = 1, layouts: some = layouts } of tamperings) {
  for (const layout of some) {
    test(`I8: it is named that ${what} (${layout})`, async (t) => {
      await using ledger = await AuditedLedger.create(t, layout);
      await tamper(ledger);
      const { exitCode, stdout, stderr } = await ledger.eds('audit');
      const expected = typeof breaks === 'number' ? breaks : breaks[layout];
      assert.match(stderr, named);
      assert.match(stdout, new RegExp(`^AUDIT_BROKEN\\n.*\\nbreaks: ${expected}\\n$`, 's'));
      assert.equal(exitCode, 1);
    });
  }
}

for (const layout of layouts) {
  test(`a record deleted with its log leaves its copy in the payload store, which the audit lists (${layout})`, async (t) => {
    await using ledger = await AuditedLedger.create(t, layout);
    await ledger.tamper(`DELETE FROM audit_records WHERE ${place(4)}`, `DELETE FROM operation_logs WHERE ${place(4)}`);
    const { exitCode, stdout } = await ledger.eds('audit', '--list-orphans');
    assert.equal(exitCode, 0);
    assert.match(stdout, layout === 'object' ? /^lift-01\/4\.bin$/m : /^segments\/\S+ at \d+$/m);
    assert.match(stdout, /^stored without a record: 1$/m);
  });

  test(`an object whose commit never came is listed and is no break (${layout})`, async (t) => {
    await using ledger = await AuditedLedger.create(t, layout);
    await ledger.store(envelopes(await ledger.register('lift-02', 'payload-v1'), 1));
    const { exitCode, stdout } = await ledger.eds('audit');
    assert.equal(exitCode, 0);
    assert.match(
      stdout,
      layout === 'object' ? /without a record: 1: lift-02\/1\.bin$/m : /without a record: 1: segments/,
    );
  });
}

test('what is committed while the audit runs gives no false break', async (t) => {
  await using ledger = await AuditedLedger.create(t, 'object');
  const { databaseUrl, directory } = ledger;
  const { signal } = new AbortController();
  await using archive = await openDirectoryStore({ directory, layout: 'object' });
  await using snapshot = await PostgresSnapshot.open({ databaseUrl, deviceIds: undefined, signal });
  await snapshot.counts();
  await ledger.commit(envelopes(await ledger.register('lift-02', 'payload-v1'), 3));
  const report = await audit({
    ledger: snapshot,
    copies: new ArchiveCopies(archive),
    allDevices: true,
    onProgress: () => {},
    onUnreferenced: () => {},
    signal,
  });
  assert.equal(report.firstBreak, undefined);
  assert.equal(report.records, 6);
  assert.equal(report.payloads?.unreferenced, 3);
});

test('the audit counts every refusal, those that share a row as well, and the records whose clock was off', async (t) => {
  await using ledger = await AuditedLedger.create(t, 'object');
  const refused = {
    sequence: 0n,
    code: 'unknown_device',
    message: 'x',
    source: '192.0.2.7',
    evidence: undefined,
  } as const;
  await ledger.commit(
    [],
    [
      { ...refused, decisionId: randomUUID(), deviceId: '', count: 4_000 },
      { ...refused, decisionId: randomUUID(), deviceId: 'lift-01', count: 1 },
    ],
  );
  await ledger.tamper(`UPDATE audit_records SET clock_skew_ms = -400000 WHERE ${place(2)}`);
  const { signal } = new AbortController();
  const { databaseUrl } = ledger;
  const report = async (deviceIds?: readonly string[]) => {
    await using snapshot = await PostgresSnapshot.open({ databaseUrl, deviceIds, signal });
    const unheard = { onProgress: () => {}, onUnreferenced: () => {} };
    return await audit({
      ledger: snapshot,
      copies: undefined,
      allDevices: deviceIds === undefined,
      ...unheard,
      signal,
    });
  };
  const { rejectedDecisions, clockSkewed } = await report();
  assert.deepEqual({ rejectedDecisions, clockSkewed }, { rejectedDecisions: 4_001, clockSkewed: 1 });
  assert.equal((await report(['lift-01'])).rejectedDecisions, 1);
  assert.equal((await report(['gate-07'])).clockSkewed, 0);
});

test('a device suspended or a key revoked after the fact leaves its records valid', async (t) => {
  await using ledger = await AuditedLedger.create(t, 'object');
  await ledger.eds('device', 'suspend', 'lift-01');
  await ledger.eds('device', 'revoke', 'gate-07', '--all');
  assert.match((await ledger.eds('audit')).stdout, /^AUDIT_CLEAN/);
});

test('a dropped month of the operation log is retention, not a break', async (t) => {
  await using ledger = await AuditedLedger.create(t, 'object');
  await ledger.tamper(
    "UPDATE audit_records SET ingested_at = ingested_at - interval '1 second' WHERE device_id = 'lift-01'",
    "DELETE FROM operation_logs WHERE device_id = 'lift-01'",
  );
  assert.match((await ledger.eds('audit')).stdout, /^AUDIT_CLEAN/);
});

test('an audit of one device is not disturbed by another, nor by objects that are not its own', async (t) => {
  await using ledger = await AuditedLedger.create(t, 'segment');
  await ledger.tamper(`UPDATE audit_records SET timestamp_ms = 1 WHERE ${place(2)}`);
  const gate = await ledger.eds('audit', '--device', 'gate-07');
  assert.match(gate.stdout, /^AUDIT_CLEAN\ndevices: 1 with records, of 1 registered\nrecords: 2/);
  assert.match(gate.stdout, /payloads: 2 of \d+ bytes/);
  assert.doesNotMatch(gate.stdout, /without a record/);
  assert.equal((await ledger.eds('audit', '--device', 'lift-01')).exitCode, 1);
  const unknown = await ledger.eds('audit', '--device', 'lift-1');
  assert.match(unknown.stderr, /--device: 'lift-1' is not registered/);
});

test('an audit of the ledger alone needs no payload store, and says that payloads were not checked', async (t) => {
  await using ledger = await AuditedLedger.create(t, 'object');
  await rm(await ledger.objectFile('lift-01', 1));
  const { exitCode, stdout } = await ledger.eds('audit', '--ledger-only');
  assert.equal(exitCode, 0);
  assert.match(stdout, /^payloads: not checked$/m);
});

test('a folder that is not there is no lost evidence: audit and payload get say so and make none', async (t) => {
  await using ledger = await AuditedLedger.create(t, 'object');
  const typo = `${ledger.directory}-typo`;
  for (const command of [['audit'], ['payload', 'get', 'lift-01', '1']]) {
    const { exitCode, stdout, stderr } = await ledger.eds(...command, '--store-dir', typo);
    assert.equal(exitCode, 1);
    assert.equal(stdout, '');
    assert.match(stderr, /--store-dir: no such folder '[^']+-typo'/);
  }
  await assert.rejects(access(typo), { code: 'ENOENT' });
});

test('the evidence of an equivocation is verified: a made-up one is named', async (t) => {
  await using ledger = await AuditedLedger.create(t, 'object');
  const chain = await ledger.register('lift-02', 'payload-v1');
  const genesis = chain.head;
  const first = envelopes(chain, 1);
  chain.resumeFrom(genesis);
  const { record } = chain.next(Buffer.from('another story'), { timestampMs: 1n, objectRef: 'lift-02/1.bin' });
  const rejection = {
    decisionId: randomUUID(),
    deviceId: 'lift-02',
    sequence: 1n,
    code: 'equivocation',
    message: 'duplicate record',
    source: undefined,
    count: 1,
    evidence: { encoded: encodeRecord(record), recordHash: recordHash(record) },
  } as const;
  await ledger.commit(first, [rejection]);
  const clean = await ledger.eds('audit');
  assert.match(clean.stdout, /^AUDIT_CLEAN\n.*equivocations on file: 1$/ms);
  assert.match(clean.stdout, / 1 rejected$/m);

  const forged = { ...record, payloadHash: Buffer.alloc(32, 7) };
  await ledger.tamper(
    `UPDATE equivocations SET record = '${bytea(encodeRecord(forged))}',
       record_hash = '${bytea(recordHash(forged))}'`,
  );
  const { exitCode, stderr } = await ledger.eds('audit');
  assert.equal(exitCode, 1);
  assert.match(stderr, /device=lift-02 sequence=1: in the evidence of an equivocation: the signature is not valid/);
});

for (const layout of layouts) {
  test(`payload get gives the very bytes, and none that are not the record's (${layout})`, async (t) => {
    await using ledger = await AuditedLedger.create(t, layout);
    const good = await ledger.eds('payload', 'get', 'lift-01', '3');
    assert.deepEqual(good, { exitCode: 0, stdout: 'payload 3 of lift-01', stderr: '' });
    await ledger.changeObject('lift-01', 3, 'payload 3', 'payload X');
    const changed = await ledger.eds('payload', 'get', 'lift-01', '3');
    assert.equal(changed.exitCode, 1);
    assert.equal(changed.stdout, '');
    assert.match(changed.stderr, /payload hash mismatch for device=lift-01 sequence=3: \S+ is not what was admitted/);
    const none = await ledger.eds('payload', 'get', 'lift-01', '5');
    assert.match(none.stderr, /the ledger has no record of device=lift-01 sequence=5/);
    assert.equal((await ledger.eds('payload', 'get', 'lift-01', 'first')).exitCode, 2);
  });
}

test('an interrupted audit ends at once, whatever Postgres is doing, and proves nothing', async (t) => {
  await using ledger = await AuditedLedger.create(t, 'object');
  const { databaseUrl } = ledger;
  const interrupt = new AbortController();
  await using snapshot = await PostgresSnapshot.open({ databaseUrl, deviceIds: undefined, signal: interrupt.signal });
  await using blocker = await lockRecords(databaseUrl);
  const reading = assert.rejects(Array.fromAsync(snapshot.records()), /reading the ledger failed/);
  await blocker.somebodyWaits();
  interrupt.abort();
  await reading;
});

/** Keeps every reader of the ledger waiting. */
async function lockRecords(databaseUrl: string) {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query('BEGIN');
  await client.query('LOCK TABLE audit_records IN ACCESS EXCLUSIVE MODE');
  return {
    async somebodyWaits(): Promise<void> {
      for (;;) {
        const { rowCount } = await client.query('SELECT FROM pg_locks WHERE NOT granted');
        if (rowCount) return;
      }
    },
    [Symbol.asyncDispose]: () => client.end(),
  };
}
