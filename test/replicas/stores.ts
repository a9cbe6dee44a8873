import { mkdir, rename, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Environment } from '../../dev/eds.ts';
import { openDirectoryStore, openS3Store } from '../../src/payload-store/open.ts';
import type { PayloadArchive } from '../../src/payload-store/payload-archive.ts';
import { startMinio } from '../support/minio.ts';
import type { Fault } from './faults.ts';

/** A payload store that can be taken away. */
export type FailingStore = AsyncDisposable & {
  /** What the replicas are told of it. */
  readonly settings: Environment;
  /** As an auditor opens it. */
  open(): Promise<PayloadArchive>;
  readonly outages: readonly Fault[];
};

/** A directory behind a link, so that it can vanish like a mount that has gone. */
export async function directoryStore(folder: string): Promise<FailingStore> {
  const directory = join(folder, 'payloads');
  const pointTo = async (target: string) => {
    await symlink(join(folder, target), `${directory}-next`);
    await rename(`${directory}-next`, directory);
  };
  await mkdir(join(folder, 'payloads-volume'));
  await pointTo('payloads-volume');
  return {
    settings: { EDS_STORE_DIR: directory },
    open: () => openDirectoryStore({ directory, layout: 'object' }),
    outages: [
      {
        name: 'payload directory gone',
        healedAfter: 'trouble',
        async strike() {
          await pointTo('nowhere/payloads');
          return () => pointTo('payloads-volume');
        },
      },
    ],
    [Symbol.asyncDispose]: async () => {},
  };
}

/** Undefined where there is no MinIO. */
export async function minioStore(): Promise<FailingStore | undefined> {
  const minio = await startMinio();
  if (minio === undefined) return undefined;
  const bucket = 'replicas';
  await minio.makeBucket(bucket);
  const { endpoint, credentials } = minio;
  return {
    settings: {
      EDS_S3_BUCKET: bucket,
      EDS_S3_ENDPOINT: endpoint,
      EDS_S3_FORCE_PATH_STYLE: 'true',
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    },
    open: async () => openS3Store({ bucket, endpoint, credentials, forcePathStyle: true, layout: 'object' }),
    outages: [
      {
        name: 'MinIO hangs',
        healedAfter: 'abandonment',
        async strike() {
          minio.pause();
          return async () => minio.resume();
        },
      },
      {
        name: 'MinIO killed',
        healedAfter: 'trouble',
        async strike() {
          await minio.kill();
          return () => minio.start();
        },
      },
    ],
    [Symbol.asyncDispose]: () => minio[Symbol.asyncDispose](),
  };
}
