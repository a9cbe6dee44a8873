import type { SecureContextOptions } from 'node:tls';
import { type CertificateFiles, digestOf, readPairTexts, readTrustTexts } from './certificate-files.ts';
import { FileWatch, type FileWatchTimes } from './file-watch.ts';
import { type ClientTrust, parseClientTrust, parseServerPair, type Refused, type ServerPair } from './material.ts';
import { type Load, type Loaded, type Manner, type NotLoaded, Reloadable } from './reloadable.ts';

/** Told of every change; must not throw. */
export type CertificateObserver = {
  swapped(change: CertificateSwap): void;
  /**
   * A new pair, or new client CAs and lists, cannot be served with; what was in use of them stays. Told once of the same
   * files and the same reason.
   */
  refused(reason: string): void;
};

export type CertificateSwap = {
  readonly serial: string;
  readonly expiresAtMs: number;
  /** Whether clients are judged by another CA file or revocation list than before. */
  readonly trustChanged: boolean;
};

/** 'refused' if any of the files were, even where others have been taken up. */
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
  const [loadPair, loadTrust] = [pairLoader(files), trustLoader(files)];
  const nowMs = options.now();
  const [pair, trust] = [await loadPair(nowMs), await loadTrust(nowMs)];
  if ('problems' in pair || 'problems' in trust)
    throw new Error([pair, trust].flatMap((one) => ('problems' in one ? one.problems : [])).join('\n'));
  return new Certificates(files, new Reloadable(loadPair, pair), new Reloadable(loadTrust, trust), options);
}

/**
 * The certificates to serve with now: those of the files, or the last ones that were good. Who the server is and whom it
 * trusts are taken up apart: a broken pair does not hold back a revocation, nor a broken list a renewal.
 */
export class Certificates implements AsyncDisposable {
  readonly #pair: Reloadable<ServerPair>;
  readonly #trust: Reloadable<ClientTrust>;
  readonly #options: CertificatesOptions;
  readonly #watch: FileWatch;
  readonly #listeners: ((swap: CertificateSwap) => void)[] = [];
  /** Looks follow one another, so that an older one cannot end last. */
  #lastLook: Promise<unknown> = Promise.resolve();

  constructor(
    files: CertificateFiles,
    pair: Reloadable<ServerPair>,
    trust: Reloadable<ClientTrust>,
    options: CertificatesOptions,
  ) {
    this.#pair = pair;
    this.#trust = trust;
    this.#options = options;
    const paths = [files.certFile, files.keyFile, files.clientCaFile, files.crlFile].filter(
      (path) => path !== undefined,
    );
    this.#watch = new FileWatch(paths, options.times ?? defaultTimes, () => void this.#look('patient'));
  }

  /** For tls.createSecureContext and Server.setSecureContext, which have taken it before. Holds the private key. */
  get current(): Readonly<SecureContextOptions> {
    return { ...this.#pair.value.options, ...this.#trust.value.options };
  }

  get serial(): string {
    return this.#pair.value.serial;
  }

  /** When the first certificate of the presented chain expires. */
  get expiresAtMs(): number {
    return this.#pair.value.expiresAtMs;
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

  #look(manner: Manner): Promise<ReloadOutcome> {
    const look = this.#lastLook
      .then(() => this.#takeUp(manner))
      .catch((error: NodeJS.ErrnoException) => {
        // A listener that breaks its word must neither end the process nor the watch.
        this.#options.observer.refused(`the new certificates cannot be served with (${error.code ?? error.name})`);
        return 'refused' as const;
      });
    this.#lastLook = look;
    return look;
  }

  async #takeUp(manner: Manner): Promise<ReloadOutcome> {
    const nowMs = this.#options.now();
    const [pair, trust] = [await this.#pair.look(nowMs, manner), await this.#trust.look(nowMs, manner)];
    const isSwapped = pair.outcome === 'swapped' || trust.outcome === 'swapped';
    if (isSwapped) this.#tellSwap(trust.outcome === 'swapped');
    const refused = [pair, trust].filter((look) => look.outcome === 'refused');
    for (const { reason, tell, unsettled } of refused) {
      if (tell) this.#options.observer.refused(reason);
      if (unsettled) this.#watch.lookSoon();
    }
    if (refused.length > 0) return 'refused';
    return isSwapped ? 'swapped' : 'unchanged';
  }

  #tellSwap(trustChanged: boolean): void {
    const swap = { serial: this.serial, expiresAtMs: this.expiresAtMs, trustChanged };
    for (const listener of this.#listeners) listener(swap);
    this.#options.observer.swapped(swap);
  }
}

function pairLoader(files: CertificateFiles): Load<ServerPair> {
  return async (nowMs, kept) => {
    const read = await readPairTexts(files);
    if ('problems' in read) return { ...read, digest: undefined };
    const { cert, key } = read.texts;
    return judged(digestOf([cert, key]), kept, (current) => parseServerPair(read.texts, nowMs, current));
  };
}

function trustLoader(files: CertificateFiles): Load<ClientTrust> {
  return async (nowMs, kept) => {
    const read = await readTrustTexts(files);
    if ('problems' in read) return { ...read, digest: undefined };
    const { clientCa, crl } = read.texts;
    return judged(digestOf([clientCa, crl]), kept, (current) => parseClientTrust(read.texts, nowMs, current));
  };
}

function judged<T extends object>(
  digest: string,
  kept: Loaded<T> | undefined,
  parse: (current: T | undefined) => T | Refused,
): Loaded<T> | NotLoaded {
  // Not judged again: what is in use stays in use even when it expires, for nothing better is there.
  if (kept?.digest === digest) return kept;
  const parsed = parse(kept?.value);
  return 'problems' in parsed ? { ...parsed, digest } : { value: parsed, digest };
}
