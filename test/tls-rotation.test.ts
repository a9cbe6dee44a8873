/** Certificates are renewed while devices send at full tilt, without a restart and by restarts: nobody notices. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../dev/ports.ts';
import { DeviceRegistry } from '../src/ledger/device-registry.ts';
import { openPool } from '../src/ledger/pool.ts';
import { authority, type Issued, serverCertificate } from './support/certificates.ts';
import { MountedSecret } from './support/mounted-secret.ts';
import { createTestDatabase } from './support/postgres.ts';
import { ServeProcess } from './support/serve-process.ts';
import { recordCount, TestDevice } from './support/service.ts';
import { type TlsAnswer, TlsBalancer } from './support/tls-balancer.ts';

/** Some seconds here: start-up, and the time that files are given to settle. */
const timeout = 180_000;
const devicesCount = 3;
/** Many times what is sent in those seconds. */
const recordsMax = 20_000;
/** Enough to have every connection used again. */
const moreAnswers = 30;
const pauseMs = 20;
const waitDeadlineMs = 30_000;

async function waitUntil(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpMs = performance.now() + waitDeadlineMs;
  while (!(await holds())) {
    assert.ok(performance.now() < giveUpMs, `waited in vain until ${what}`);
    await sleep(pauseMs);
  }
}

async function openStores(t: TestContext) {
  const { url: databaseUrl } = await createTestDatabase(t);
  const storeDirectory = await mkdtemp(join(tmpdir(), 'eds-rotation-'));
  t.after(() => rm(storeDirectory, { recursive: true, force: true }));
  const pool = openPool({ databaseUrl, applicationName: 'edgesentry test', connectionsMax: 2 }, () => {});
  const registry = new DeviceRegistry(pool);
  const ids = Array.from({ length: devicesCount }, (_, index) => `lift-${index + 1}`);
  const devices = await Promise.all(ids.map((id) => new TestDevice(id).register(registry)));
  return { databaseUrl, storeDirectory, pool, devices, [Symbol.asyncDispose]: () => pool.end() };
}

const freePorts = async () => [`--addr=127.0.0.1:${await freePort()}`, `--ops-addr=127.0.0.1:${await freePort()}`];

const serveTls = (t: TestContext, databaseUrl: string, ...args: readonly string[]) =>
  ServeProcess.start(t, databaseUrl, { command: 'serve-tls', args });

/** Devices that send one record after the other, each as soon as the one before is answered. */
class Load {
  /** One list a device, in the order of its chain. */
  readonly answers: readonly TlsAnswer[][];
  readonly #senders: Promise<void>;
  #failure: unknown;
  #stopping = false;

  constructor(devices: readonly TestDevice[], balancerOf: (index: number) => TlsBalancer) {
    this.answers = devices.map(() => []);
    const send = async (device: TestDevice, index: number) => {
      const answers = this.answers[index] ?? [];
      while (!this.#stopping && answers.length < recordsMax) {
        const answer = await balancerOf(index).post(device.nextBody());
        assert.equal(answer.status, 202, answer.body);
        answers.push(answer);
      }
    };
    this.#senders = Promise.all(devices.map(send)).then(
      () => {},
      (error: unknown) => {
        this.#failure = error;
      },
    );
  }

  /** Resolves when every device has been answered again, some times. @throws what a sender has met */
  async goesOn(): Promise<void> {
    const goals = this.answers.map(({ length }) => length + moreAnswers);
    await waitUntil('every device is answered again', () => {
      if (this.#failure !== undefined) throw this.#failure;
      return this.answers.every(({ length }, index) => length >= (goals[index] ?? 0));
    });
  }

  /** Waits for the last answers. @throws what a sender has met */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#senders;
    if (this.#failure !== undefined) throw this.#failure;
    for (const { length } of this.answers) assert.ok(length < recordsMax, 'the load ended before the test did');
  }
}

const secretOf = ({ cert, key }: Issued) => ({ 'tls.crt': cert, 'tls.key': key });

test('certificates change under load without a restart: no request is lost, no connection ends, a broken pair is refused', {
  timeout,
}, async (t) => {
  const ca = await authority();
  const [first, second, third] = [await serverCertificate(), await serverCertificate(), await serverCertificate()];
  await using stores = await openStores(t);
  const secret = await MountedSecret.create(t, secretOf(first));
  const files = [`--tls-cert=${secret.path('tls.crt')}`, `--tls-key=${secret.path('tls.key')}`];
  const service = await serveTls(t, stores.databaseUrl, ...files);
  using newcomers = new TlsBalancer([service.url], ca.cert, { keepAlive: false });
  using lasting = new DisposableStack();
  const balancers = stores.devices.map(() => lasting.use(new TlsBalancer([service.url], ca.cert)));
  const load = new Load(stores.devices, (index) => balancers[index] ?? newcomers);
  const servedAnew = async () => (await newcomers.post('{}')).serial;
  await load.goesOn();
  assert.equal(await servedAnew(), first.serial);

  await secret.update(secretOf(second));
  await waitUntil('the second certificate is served', async () => (await servedAnew()) === second.serial);
  await load.goesOn();

  const complaint = 'do not belong together';
  await secret.update({ 'tls.crt': third.cert, 'tls.key': second.key });
  await service.logged(complaint);
  assert.equal(await servedAnew(), second.serial);
  service.hangUp();
  await service.logged(complaint, 2);
  assert.equal(await servedAnew(), second.serial);
  await load.goesOn();

  await secret.update(secretOf(third));
  service.hangUp();
  await waitUntil('the third certificate is served', async () => (await servedAnew()) === third.serial);
  await load.goesOn();
  await load.stop();

  for (const answers of load.answers) {
    assert.equal(new Set(answers.map(({ connection }) => connection)).size, 1, 'the connection of the start is kept');
    assert.deepEqual([...new Set(answers.map(({ serial }) => serial))], [first.serial]);
  }
  const expiry = await service.metric('edgesentry_tls_certificate_expiry_timestamp_seconds');
  assert.equal(expiry, new X509Certificate(third.cert).validToDate.getTime() / 1000);
  assert.equal(await service.stop(), 0);
  await assertAllRecorded(stores, load);
});

test('certificates change by restarting one replica after the other under load: no request is lost', {
  timeout,
}, async (t) => {
  const ca = await authority();
  const [first, second] = [await serverCertificate(), await serverCertificate()];
  await using stores = await openStores(t);
  const writePair = async (name: string, { cert, key }: Issued) => {
    const [certFile, keyFile] = [
      join(stores.storeDirectory, `${name}.crt`),
      join(stores.storeDirectory, `${name}.key`),
    ];
    await writeFile(certFile, cert);
    await writeFile(keyFile, key);
    return [`--tls-cert=${certFile}`, `--tls-key=${keyFile}`];
  };
  const [before, after] = [await writePair('first', first), await writePair('second', second)];
  const { databaseUrl } = stores;
  const payloads = `--store-dir=${join(stores.storeDirectory, 'payloads')}`;
  const places = [await freePorts(), await freePorts()];
  const replicas = await Promise.all(places.map((place) => serveTls(t, databaseUrl, payloads, ...place, ...before)));
  const urls = replicas.map(({ url }) => url);
  using ingress = new TlsBalancer(urls, ca.cert);
  const load = new Load(stores.devices, () => ingress);
  await load.goesOn();

  const restarted: ServeProcess[] = [];
  for (const [index, replica] of replicas.entries()) {
    assert.equal(await replica.stop(), 0, 'everything in flight was answered in time');
    await load.goesOn();
    const place = places[index];
    assert.ok(place);
    restarted.push(await serveTls(t, databaseUrl, payloads, ...place, ...after));
    await load.goesOn();
  }
  await load.stop();

  const answers = load.answers.flat();
  for (const url of urls) {
    const serials = new Set(answers.filter((answer) => answer.url === url).map(({ serial }) => serial));
    assert.deepEqual(serials, new Set([first.serial, second.serial]));
  }
  for (const replica of restarted) assert.equal(await replica.stop(), 0);
  await assertAllRecorded(stores, load);
});

async function assertAllRecorded({ pool, devices }: Awaited<ReturnType<typeof openStores>>, { answers }: Load) {
  const counts = await Promise.all(devices.map(({ id }) => recordCount(pool, id)));
  assert.deepEqual(
    counts,
    answers.map(({ length }) => length),
  );
}
