/** Keys change by `eds device`, and two replicas of `eds serve` on one ledger go by it. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeviceChain } from '../src/device/device-chain.ts';
import { DeviceRegistry } from '../src/ledger/device-registry.ts';
import { formatEnvelope } from '../src/record/format.ts';
import type { SignatureScheme } from '../src/record/signature.ts';
import { generateSigningKey, type SigningKey } from '../src/record/signing-key.ts';
import { eds } from './support/command-line.ts';
import { openTestPool } from './support/ledger.ts';
import { outcomes, postBatch } from './support/post-batch.ts';
import { createTestDatabase } from './support/postgres.ts';
import { ServeProcess } from './support/serve-process.ts';
import { recordCount } from './support/service.ts';

/** What a change of the registry may take to reach every replica. */
const promisedMs = 1000;
/** So that refusals stay below their own rate. */
const pauseMs = 20;
/** Of what is bound to come; a loaded machine may take its time. */
const deadlineMs = 30_000;

/** Two replicas on one ledger and one payload store, and the operator's command line beside them. */
async function openSite(t: TestContext) {
  const { url: databaseUrl } = await createTestDatabase(t);
  const storeDirectory = await mkdtemp(join(tmpdir(), 'eds-keys-'));
  t.after(() => rm(storeDirectory, { recursive: true, force: true }));
  await using opened = new AsyncDisposableStack();
  const pool = openTestPool(databaseUrl);
  opened.defer(() => pool.end());
  const args = [`--store-dir=${storeDirectory}`];
  const start = async () => opened.use(await ServeProcess.start(t, databaseUrl, { args }));
  const replicas = await Promise.all([start(), start()]);
  const resources = opened.move();
  return {
    pool,
    registry: new DeviceRegistry(pool),
    replicas,
    urls: replicas.map(({ url }) => url),
    async device(...args: readonly string[]): Promise<string> {
      const { exitCode, stdout, stderr } = await eds(['device', ...args], { env: { DATABASE_URL: databaseUrl } });
      assert.equal(exitCode, 0, stderr);
      return stdout;
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

type Site = Awaited<ReturnType<typeof openSite>>;

/** A device that may have several keys, of either scheme. Its chain goes on where its last accepted record was. */
class KeyedDevice {
  readonly id: string;
  #head: DeviceChain['head'] | undefined;

  constructor(id: string) {
    this.id = id;
  }

  /** Sends one record, signed with `key`. @returns `accepted`, or the code of the refusal */
  async send(url: string, key: SigningKey, scheme: SignatureScheme): Promise<string> {
    const chain = new DeviceChain({ deviceId: this.id, scheme, key, ...(this.#head && { head: this.#head }) });
    const claim = { timestampMs: BigInt(Date.now()), objectRef: `${this.id}/${chain.head.sequence + 1n}.bin` };
    const body = formatEnvelope(chain.next(Buffer.from('door=ok'), claim));
    const [outcome = ''] = outcomes(await postBatch(url, body));
    if (outcome === 'accepted') this.#head = chain.head;
    return outcome;
  }

  get recordsAccepted(): number {
    return Number(this.#head?.sequence ?? 0);
  }
}

const hex = ({ publicKey }: SigningKey) => publicKey.toString('hex');
const keyOptions = (key: SigningKey, scheme: SignatureScheme) => ['--public-key', hex(key), '--scheme', scheme];

/** @returns milliseconds until `send` was first accepted; what is sent past those promised must be */
async function untilAccepted(send: () => Promise<string>): Promise<number> {
  const startMs = performance.now();
  for (;;) {
    const sentMs = performance.now() - startMs;
    const outcome = await send();
    if (outcome === 'accepted') return Math.round(performance.now() - startMs);
    if (sentMs > promisedMs) assert.equal(outcome, 'accepted', `refused ${Math.round(sentMs)} ms after the change`);
  }
}

/** Whatever is sent from now on is refused with `code`, by either replica, for longer than a change may take. */
async function assertRefusedFromNowOn({ urls }: Site, code: string, send: (url: string) => Promise<string>) {
  const startMs = performance.now();
  for (let sentMs = 0; sentMs <= promisedMs; sentMs = performance.now() - startMs) {
    for (const url of urls) assert.equal(await send(url), code, `sent ${Math.round(sentMs)} ms after the change`);
    await sleep(pauseMs);
  }
}

test('a key is revoked: nothing that it signs after that goes in at any replica, and the rest of the device goes on', async (t) => {
  await using site = await openSite(t);
  const [stolen, spare] = [generateSigningKey(), generateSigningKey()];
  for (const key of [stolen, spare]) await site.device('register', 'lift-01', ...keyOptions(key, 'payload-v1'));
  const lift = new KeyedDevice('lift-01');
  const thief = (url: string) => lift.send(url, stolen, 'payload-v1');
  for (const url of [...site.urls, ...site.urls]) assert.equal(await thief(url), 'accepted');

  assert.equal(
    await site.device('revoke', 'lift-01', '--public-key', hex(stolen), '--actor', 'amira'),
    'revoked 1 key of lift-01\n',
  );
  await assertRefusedFromNowOn(site, 'invalid_signature', thief);
  for (const url of site.urls) assert.equal(await lift.send(url, spare, 'payload-v1'), 'accepted');
  assert.equal(await recordCount(site.pool, 'lift-01'), lift.recordsAccepted);

  const { changes } = JSON.parse(await site.device('history', 'lift-01', '--json'));
  const { change, actor, message } = changes.at(-1);
  assert.deepEqual([change, message], ['key_revoked', `payload-v1:${hex(stolen).slice(0, 16)}`]);
  assert.match(actor, /^amira \(role \S+\)$/);
  for (const replica of site.replicas) {
    const refused = await replica.metric('edgesentry_signature_fail_total');
    assert.ok(refused >= 2);
    assert.equal(await replica.metric('edgesentry_ingest_rejected_total{reason="invalid_signature"}'), refused);
  }
});

test('a revocation stops devices that send all the time: no record goes in that was sent after it', async (t) => {
  await using site = await openSite(t);
  const key = generateSigningKey();
  const lifts = site.urls.map((url, index) => ({ url, lift: new KeyedDevice(`lift-${index + 1}`) }));
  for (const { lift } of lifts) await site.device('register', lift.id, ...keyOptions(key, 'payload-v1'));
  const sendOn = async ({ url, lift }: (typeof lifts)[number]) => {
    const giveUpMs = performance.now() + deadlineMs;
    for (let lastMs = 0; ; ) {
      const sentMs = performance.now();
      const outcome = await lift.send(url, key, 'payload-v1');
      if (outcome !== 'accepted') return { outcome, lastMs, refusedMs: performance.now() };
      assert.ok(sentMs < giveUpMs, 'it was never refused');
      lastMs = sentMs;
    }
  };
  for (const { url, lift } of lifts) assert.equal(await lift.send(url, key, 'payload-v1'), 'accepted');
  const sending = lifts.map(sendOn);
  await Promise.all(lifts.map(({ lift }) => site.device('revoke', lift.id, '--all')));
  const revokedMs = performance.now();
  for (const { outcome, lastMs, refusedMs } of await Promise.all(sending)) {
    t.diagnostic(`refused ${Math.round(refusedMs - revokedMs)} ms after the commands had ended`);
    assert.equal(outcome, 'invalid_signature');
    assert.ok(lastMs < revokedMs, `one went in that was sent ${lastMs - revokedMs} ms after them`);
  }
  for (const { lift } of lifts) assert.equal(await recordCount(site.pool, lift.id), lift.recordsAccepted);
});

test('a device is suspended and resumed, and every replica follows', async (t) => {
  await using site = await openSite(t);
  const key = generateSigningKey();
  await site.device('register', 'lift-01', ...keyOptions(key, 'payload-v1'));
  const lift = new KeyedDevice('lift-01');
  const send = (url: string) => lift.send(url, key, 'payload-v1');
  for (const url of site.urls) assert.equal(await send(url), 'accepted');
  await site.device('suspend', 'lift-01');
  await assertRefusedFromNowOn(site, 'device_suspended', send);
  await site.device('resume', 'lift-01');
  for (const url of site.urls) t.diagnostic(`resumed after ${await untilAccepted(() => send(url))} ms`);
});

test('a device that was refused as unknown a moment ago is taken once it is registered', async (t) => {
  await using site = await openSite(t);
  const key = generateSigningKey();
  const lift = new KeyedDevice('lift-01');
  const send = (url: string) => lift.send(url, key, 'record-v2');
  for (const url of site.urls) assert.equal(await send(url), 'unknown_device');
  await site.device('register', 'lift-01', ...keyOptions(key, 'record-v2'));
  for (const url of site.urls) t.diagnostic(`taken after ${await untilAccepted(() => send(url))} ms`);
});

test('a rotation lets both keys count until the overlap ends, each under its own scheme, at every replica', async (t) => {
  await using site = await openSite(t);
  const [old, fresh] = [generateSigningKey(), generateSigningKey()];
  await site.device('register', 'lift-01', ...keyOptions(old, 'payload-v1'));
  const lift = new KeyedDevice('lift-01');
  for (const url of site.urls) assert.equal(await lift.send(url, old, 'payload-v1'), 'accepted');

  const rotate = (overlap: string) =>
    site.device('rotate', 'lift-01', ...keyOptions(fresh, 'record-v2'), '--overlap', overlap);
  await rotate('1h');
  for (const url of site.urls) {
    t.diagnostic(`the new key counts after ${await untilAccepted(() => lift.send(url, fresh, 'record-v2'))} ms`);
    assert.equal(await lift.send(url, old, 'payload-v1'), 'accepted');
    assert.equal(await lift.send(url, fresh, 'payload-v1'), 'invalid_signature');
    assert.equal(await lift.send(url, old, 'record-v2'), 'invalid_signature');
  }

  // Again with less: the overlap is cut short.
  await rotate('1s');
  const registered = await site.registry.find('lift-01');
  const endMs = registered?.keys.find(({ publicKey }) => publicKey.equals(old.publicKey))?.validUntilMs;
  assert.ok(endMs !== undefined);
  for (const url of site.urls) {
    for (let outcome = 'accepted'; outcome === 'accepted'; ) {
      const sentMs = Date.now();
      outcome = await lift.send(url, old, 'payload-v1');
      if (sentMs > endMs) assert.equal(outcome, 'invalid_signature');
      if (Date.now() < endMs) assert.equal(outcome, 'accepted');
      assert.equal(await lift.send(url, fresh, 'record-v2'), 'accepted');
    }
  }
  assert.equal(await recordCount(site.pool, 'lift-01'), lift.recordsAccepted);
});
