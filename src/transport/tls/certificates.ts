import type { SecureContextOptions } from 'node:tls';
import { type CertificateFiles, readCertificateFiles } from './certificate-files.ts';
import { FileWatch, type FileWatchTimes } from './file-watch.ts';
import { contentDigest, parseMaterial, type Refused, type TlsMaterial } from './material.ts';

/** Told of every change; must not throw. */
export type CertificateObserver = {
  swapped(change: CertificateSwap): void;
  /** New files cannot be served with; what was in use stays. Told once of the same files and the same reason. */
  refused(reason: string): void;
};

export type CertificateSwap = {
  readonly serial: string;
  readonly expiresAtMs: number;
  /** Whether clients are judged by another CA file or revocation list than before. */
  readonly trustChanged: boolean;
};

export type ReloadOutcome = 'swapped' | 'unchanged' | 'refused';

export type CertificatesOptions = {
  readonly observer: CertificateObserver;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  readonly times?: FileWatchTimes;
};

/** Reading a few files costs nothing; a secret reaches a pod within a minute or two, so seconds do not matter. */
const defaultTimes: FileWatchTimes = { pollMs: 5_000, settleMs: 250 };

/** @throws Error that names every flag and file that cannot be served with, and the way out */
export async function openCertificates(files: CertificateFiles, options: CertificatesOptions): Promise<Certificates> {
  const found = await load(files, options.now());
  if (!('material' in found)) throw new Error(found.problems.join('\n'));
  return new Certificates(files, found.material, options);
}

/** The certificates to serve with now: those of the files, or the last ones that were good. */
export class Certificates implements AsyncDisposable {
  readonly #files: CertificateFiles;
  readonly #options: CertificatesOptions;
  readonly #watch: FileWatch;
  readonly #listeners: ((swap: CertificateSwap) => void)[] = [];
  #material: TlsMaterial;
  /** What was refused at the last look, and whether the observer has been told. */
  #refusal: { readonly text: string; readonly digest: string | undefined; readonly told: boolean } | undefined;
  /** Looks follow one another, so that an older one cannot end last. */
  #lastLook: Promise<unknown> = Promise.resolve();

  constructor(files: CertificateFiles, material: TlsMaterial, options: CertificatesOptions) {
    this.#files = files;
    this.#material = material;
    this.#options = options;
    const paths = [files.certFile, files.keyFile, files.clientCaFile, files.crlFile].filter(
      (path) => path !== undefined,
    );
    this.#watch = new FileWatch(paths, options.times ?? defaultTimes, () => void this.#look('patient'));
  }

  /** For tls.createSecureContext and Server.setSecureContext, which have taken it before. Holds the private key. */
  get current(): Readonly<SecureContextOptions> {
    return this.#material.options;
  }

  get serial(): string {
    return this.#material.serial;
  }

  /** When the first certificate of the presented chain expires. */
  get expiresAtMs(): number {
    return this.#material.expiresAtMs;
  }

  /** `listener` is called after each swap; must not throw. */
  onSwap(listener: (swap: CertificateSwap) => void): void {
    this.#listeners.push(listener);
  }

  /** Reads the files now, as on SIGHUP; a refusal is told however often it was before, since somebody asked. */
  reload(): Promise<ReloadOutcome> {
    return this.#look('asked');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch[Symbol.dispose]();
    await this.#lastLook;
  }

  #look(manner: 'patient' | 'asked'): Promise<ReloadOutcome> {
    const look = this.#lastLook.then(async () => {
      const found = await load(this.#files, this.#options.now(), this.#material);
      return 'material' in found ? this.#take(found.material) : this.#refuse(found, manner);
    });
    this.#lastLook = look;
    return look;
  }

  #take(material: TlsMaterial): ReloadOutcome {
    this.#refusal = undefined;
    if (material.digest === this.#material.digest) return 'unchanged';
    const { serial, expiresAtMs, trustDigest } = material;
    const swap = { serial, expiresAtMs, trustChanged: trustDigest !== this.#material.trustDigest };
    this.#material = material;
    for (const listener of this.#listeners) listener(swap);
    this.#options.observer.swapped(swap);
    return 'swapped';
  }

  /** A pair of which one file is new and the other not yet written looks broken, so a watcher looks twice before it tells. */
  #refuse({ problems, digest }: Refusal, manner: 'patient' | 'asked'): ReloadOutcome {
    const text = problems.join('\n');
    const known = this.#refusal?.text === text && this.#refusal.digest === digest ? this.#refusal : undefined;
    const tell = manner === 'asked' || known?.told === false;
    if (manner === 'patient' && known === undefined) this.#watch.lookSoon();
    this.#refusal = { text, digest, told: tell || known?.told === true };
    if (tell) this.#options.observer.refused(text);
    return 'refused';
  }
}

/** `digest` of what was refused; undefined where it could not be read. */
type Refusal = Refused & { readonly digest: string | undefined };

async function load(
  files: CertificateFiles,
  nowMs: number,
  current?: TlsMaterial,
): Promise<{ readonly material: TlsMaterial } | Refusal> {
  const texts = await readCertificateFiles(files);
  if ('problems' in texts) return { ...texts, digest: undefined };
  const digest = contentDigest(texts);
  // Not judged again: what is in use stays in use even when it expires, for nothing better is there.
  if (current?.digest === digest) return { material: current };
  const parsed = parseMaterial(texts, nowMs, current);
  return 'problems' in parsed ? { ...parsed, digest } : { material: parsed };
}
