import type { TestContext } from 'node:test';
import { ServeProcess } from './serve-process.ts';

export type ServeTlsOptions = {
  readonly databaseUrl: string;
  readonly storeDirectory: string;
  /** Of 127.0.0.1. */
  readonly port: number;
  readonly opsPort: number;
  readonly certFile: string;
  readonly keyFile: string;
};

export type ServeTlsProcess = ServeProcess;

/** `eds serve-tls` on given ports, to be started again on the same. */
export const ServeTlsProcess = {
  start: (t: TestContext, options: ServeTlsOptions): Promise<ServeProcess> => {
    const { databaseUrl, storeDirectory, port, opsPort, certFile, keyFile } = options;
    const args = [
      `--addr=127.0.0.1:${port}`,
      `--ops-addr=127.0.0.1:${opsPort}`,
      `--store-dir=${storeDirectory}`,
      `--tls-cert=${certFile}`,
      `--tls-key=${keyFile}`,
    ];
    return ServeProcess.start(t, databaseUrl, { command: 'serve-tls', args });
  },
};
