/** `eds relay` between devices and a real centre: what a site loses when links, relays and centres fail. Nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { query } from '../dev/database.ts';
import { formatEnvelope } from '../src/record/format.ts';
import type { EdsProcess } from './relay/eds-process.ts';
import { clientOf, drained, Site, sendUntilTaken, until } from './relay/site.ts';
import { eds } from './support/command-line.ts';
import { TestDevice } from './support/service.ts';

async function post({ url }: EdsProcess, body: string): Promise<{ status: number; body: Record<string, unknown> }> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${url}/api/v1/ingest`, { method: 'POST', headers, body });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

/** The centre's audit is clean, and it has as many records of each device as the device made, up to its head. */
async function assertComplete(site: Site, devices: readonly TestDevice[]): Promise<void> {
  const rows = await query(
    site.databaseUrl,
    `SELECT device_id, count(*)::int AS records, max(sequence)::text AS sequence,
            encode((array_agg(record_hash ORDER BY sequence DESC))[1], 'hex') AS hash
     FROM audit_records GROUP BY device_id ORDER BY device_id`,
  );
  const made = devices.map(({ id, head: { sequence, recordHash } }) => {
    return { device_id: id, records: Number(sequence), sequence: `${sequence}`, hash: recordHash.toString('hex') };
  });
  assert.deepEqual(rows, made);
  const stores = [
    '--database-url',
    site.databaseUrl,
    '--store-dir',
    site.storeDirectory,
    '--payload-layout',
    'segment',
  ];
  const audit = await eds(['audit', ...stores]);
  assert.equal(audit.exitCode, 0, audit.stdout + audit.stderr);
}

test('link cut, relay killed, centre killed: all that the relay acknowledged is at the centre, in order and complete', async (t) => {
  const site = await Site.create(t);
  const devices = ['lift-01', 'lift-02', 'lift-03'].map((id) => new TestDevice(id));
  const [first = new TestDevice('')] = devices;
  let relay = await site.startRelay(devices);

  // The link is cut before the site has ever spoken to the centre.
  const early = first.nextBody();
  assert.deepEqual(await post(relay, early), {
    status: 202,
    body: { status: 'accepted', record_hash: first.head.recordHash.toString('hex'), stored: 'relay' },
  });
  for (const device of devices) await sendUntilTaken(device.nextBodies(300), () => relay);
  assert.equal((await relay.relayStatus()).backlog.records, 901);

  await relay.kill();
  // Keys are kept in the data directory, as are records and heads.
  relay = await site.startRelay();
  assert.equal((await relay.relayStatus()).backlog.records, 901);
  assert.deepEqual(await clientOf(relay).readHead('lift-01'), first.head);
  assert.deepEqual((await post(relay, early)).body.identical, true);

  // Both ends die while they speak.
  const sending = Promise.all(
    devices.map(async (device) => {
      for (let batch = 0; batch < 20; batch++) await sendUntilTaken(device.nextBodies(50), () => relay);
    }),
  );
  let centre = await site.startCentre(devices);
  const committed = async () => Number((await query(site.databaseUrl, 'SELECT count(*) FROM audit_records'))[0]?.count);
  await until('the centre has some', async () => (await committed()) > 0);
  await centre.kill();
  await relay.kill();
  relay = await site.startRelay();
  centre = await site.startCentre();
  await sending;
  await drained(relay);

  await assertComplete(site, devices);
  assert.equal(await relay.metric('edgesentry_relay_backlog_records'), 0);
  assert.equal(await relay.metric('edgesentry_relay_backlog_bytes'), 0);
  assert.ok((await relay.metric('edgesentry_relay_last_success_timestamp_seconds')) > 1.7e9);
  assert.equal(await relay.stop(), 0);
  assert.equal(await centre.stop(), 0);
});

test('a device hears the same refusal at the site as at the centre', async (t) => {
  const site = await Site.create(t);
  const device = new TestDevice('lift-01');
  const centre = await site.startCentre([device]);
  const relay = await site.startRelay([device]);
  const sound = device.next();
  await post(relay, formatEnvelope(sound));
  await drained(relay);

  const rival = device.rival('another payload');
  const next = device.next();
  const stranger = new TestDevice('lift-99').next();
  const signature = Buffer.from(next.record.signature).reverse();
  const bad = {
    'a tampered payload': { ...next, payload: Buffer.from('tampered') },
    'a forged signature': { ...next, record: { ...next.record, signature } },
    'an unknown device': stranger,
    'a replay': sound,
    'another record at a used place': rival,
    'a gap': device.next(),
    'another predecessor': { ...next, record: { ...next.record, prevRecordHash: Buffer.alloc(32, 7) } },
    'a foreign object': { ...next, record: { ...next.record, objectRef: 'other/1' } },
  };
  for (const [what, envelope] of Object.entries(bad)) {
    const [atSite, atCentre] = [
      await post(relay, formatEnvelope(envelope)),
      await post(centre, formatEnvelope(envelope)),
    ];
    assert.equal(atSite.status, 422, what);
    assert.deepEqual(atSite, atCentre, what);
  }
  assert.equal((await relay.relayStatus()).backlog.records, 0);
});

test('a device that moves between centre and relay keeps one chain', async (t) => {
  const site = await Site.create(t);
  const device = new TestDevice('lift-01');
  const centre = await site.startCentre([device]);
  const relay = await site.startRelay([device]);
  for (const receiver of [centre, relay, centre, relay, centre]) {
    const answers = await clientOf(receiver).sendBatch(device.nextBodies(3));
    assert.deepEqual(
      answers.map(({ status }) => status),
      ['accepted', 'accepted', 'accepted'],
    );
    await drained(relay);
  }
  await assertComplete(site, [device]);
});

test('while the centre is away, a device that was never seen here begins with its first record or waits', async (t) => {
  const site = await Site.create(t);
  const [fresh, moved] = [new TestDevice('lift-01'), new TestDevice('lift-02')];
  let centre = await site.startCentre([fresh, moved]);
  const before = moved.nextBodies(4);
  await clientOf(centre).sendBatch(before);
  await centre.kill();

  const relay = await site.startRelay([fresh, moved]);
  const later = moved.nextBody();
  assert.equal((await post(relay, later)).body.code, 'ledger_unavailable');
  await assert.rejects(clientOf(relay).readHead('lift-02'), { name: 'ServiceUnavailable' });
  assert.equal((await post(relay, fresh.nextBody())).status, 202);

  centre = await site.startCentre();
  await sendUntilTaken([later], () => relay);
  await drained(relay);
  await assertComplete(site, [fresh, moved]);
});

test('a full queue is 503 for devices, never more than its bound, and room again once the centre has taken it', async (t) => {
  const site = await Site.create(t);
  const device = new TestDevice('lift-01');
  const bound = 20_000;
  const relay = await site.startRelay([device], [`--queue-bytes-max=${bound}`]);
  const lines = Array.from({ length: 30 }, () => device.nextBody(Buffer.alloc(1000, 1)));
  let taken = 0;
  for (const line of lines) {
    const { status, body } = await post(relay, line);
    if (status !== 202) {
      assert.deepEqual([status, body.code], [503, 'ledger_unavailable']);
      break;
    }
    taken++;
  }
  const { backlog } = await relay.relayStatus();
  assert.ok(taken > 10 && taken < lines.length, `${taken} taken`);
  assert.equal(backlog.records, taken);
  assert.ok(backlog.bytes <= bound, `${backlog.bytes} bytes`);
  // A refusal is still decided, and durable.
  assert.equal((await post(relay, formatEnvelope(new TestDevice('lift-99').next()))).status, 422);

  await site.startCentre([device]);
  await drained(relay);
  await sendUntilTaken(lines.slice(taken, taken + 5), () => relay);
  await drained(relay);
  const rows = await query(site.databaseUrl, 'SELECT count(*)::int AS count FROM audit_records');
  assert.deepEqual(rows, [{ count: taken + 5 }]);
});

test('a record that the centre refuses holds its device and nobody else, and goes through once that is mended', async (t) => {
  const site = await Site.create(t);
  const [known, unknown] = [new TestDevice('lift-01'), new TestDevice('lift-02')];
  const centre = await site.startCentre([known]);
  let relay = await site.startRelay([known, unknown]);
  await sendUntilTaken(unknown.nextBodies(3), () => relay);
  await sendUntilTaken(known.nextBodies(3), () => relay);
  await until('the device is held', async () => (await relay.relayStatus()).held.length === 1);
  await sendUntilTaken(unknown.nextBodies(2), () => relay);
  await until('the others are forwarded', async () => (await relay.relayStatus()).backlog.records === 5);
  const [held] = (await relay.relayStatus()).held;
  assert.deepEqual([held?.device_id, held?.sequence, held?.code, held?.records], ['lift-02', '1', 'unknown_device', 5]);
  assert.equal(await relay.metric('edgesentry_relay_held_devices'), 1);

  const registered = [
    '--scheme',
    'payload-v1',
    '--public-key',
    unknown.key.publicKey.toString('hex'),
    '--database-url',
    site.databaseUrl,
  ];
  assert.equal((await eds(['device', 'register', unknown.id, ...registered])).exitCode, 0);
  await relay.stop();
  relay = await site.startRelay();
  await drained(relay);
  assert.deepEqual((await relay.relayStatus()).held, []);
  await assertComplete(site, [known, unknown]);
  assert.equal(await centre.stop(), 0);
});

test('a second relay on the same data directory is kept out', async (t) => {
  const site = await Site.create(t);
  await site.startRelay();
  const { exitCode, stderr } = await eds([...site.relayArgs, '--ops-addr=127.0.0.1:0']);
  assert.equal(exitCode, 1);
  assert.match(stderr, /relay\.db is in use: another relay runs/);
});

test('what is missing or wrong on the command line is named, all at once', async () => {
  const { exitCode, stderr } = await eds(['relay', '--upstream', 'ftp://centre', '--queue-bytes-max', 'much']);
  assert.equal(exitCode, 2);
  for (const flag of ['--upstream', '--data-dir', '--queue-bytes-max']) assert.ok(stderr.includes(flag), stderr);
});
