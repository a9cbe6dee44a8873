import assert from 'node:assert/strict';
import { authority, type CertificateAuthority, type Issued } from '../../support/certificates.ts';
import { type Device, makeFleet } from './fleet.ts';
import type { Endpoint } from './ingress-client.ts';
import { Load } from './load.ts';
import { Namespace } from './namespace.ts';
import { Servers } from './pods.ts';
import { say } from './progress.ts';
import { Release, type Values } from './release.ts';
import type { Settings } from './settings.ts';

const host = 'records.ladder.test';
export const tlsSecret = 'ladder-tls';
/** Before and after what a load is for: that it goes on, and goes on again. */
const recordsEach = 10;

/** One installation, with its devices and what they have been told, from the first rung to the last. */
export class Site implements AsyncDisposable {
  readonly settings: Settings;
  readonly namespace: Namespace;
  readonly release: Release;
  readonly servers: Servers;
  readonly devices: readonly Device[] = makeFleet();
  readonly endpoint: Endpoint;
  /** What the release was last installed or upgraded with. */
  values: Values;
  readonly #authority: CertificateAuthority;

  private constructor(settings: Settings, namespace: Namespace, authority: CertificateAuthority) {
    const { address, port } = settings.ingress;
    this.settings = settings;
    this.namespace = namespace;
    this.release = new Release(namespace);
    this.servers = new Servers(namespace);
    this.endpoint = { address, port, host, ca: authority.cert };
    this.values = { image: settings.image };
    this.#authority = authority;
  }

  static async create(settings: Settings): Promise<Site> {
    const site = new Site(settings, await Namespace.create(), await authority('EdgeSentry ladder'));
    say(`namespace ${site.namespace.name}`);
    return site;
  }

  /** A new certificate for the service's name, in the Secret that the chart is told of. */
  async renewCertificate(): Promise<Issued> {
    const issued = await this.#authority.issue({ names: { cn: host, dns: [host] }, usages: ['serverAuth'] });
    const data = { 'tls.crt': issued.cert, 'tls.key': issued.key };
    const metadata = { name: tlsSecret };
    await this.namespace.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/tls',
      metadata,
      stringData: data,
    });
    return issued;
  }

  /** Changes some values of the release, and waits until it is ready. */
  async upgrade(changes: Values): Promise<void> {
    this.values = { ...this.values, ...changes };
    await this.release.upgrade(this.values);
  }

  /** @returns what the devices met while `act` went on, which began and ended with all of them getting through */
  async underLoad(act: (load: Load) => Promise<void>): Promise<Load> {
    const load = new Load(this.devices, this.endpoint);
    try {
      await load.progress(recordsEach);
      await act(load);
      await load.progress(recordsEach);
    } finally {
      await load.end();
      say(`  load: ${load}`);
    }
    return load;
  }

  /** As `underLoad`: every request of every device got the answer that it should. */
  async underLoadWithoutFailure(act: (load: Load) => Promise<void>): Promise<void> {
    const load = await this.underLoad(act);
    assert.equal(load.failed, 0, `requests failed: ${load}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.namespace[Symbol.asyncDispose]();
  }
}
