import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A scan takes three seconds here; a loaded machine may need many times that, and a listener that hangs has no end. */
const scanDeadlineMs = 120_000;

export type ScanTarget = {
  /** Of localhost. */
  readonly port: number;
  /** PEM: the one authority that may vouch for the server. */
  readonly caFile: string;
  /** What the scanner presents where it is asked for a certificate, as PEM. */
  readonly client?: { readonly certFile: string; readonly keyFile: string };
};

/** What a scan command has found: flags, counts and names, by the scanner's own names for them. */
export type Finding = Readonly<Record<string, unknown>>;

export type Scan = {
  /** What the scanner holds against Mozilla's profile, a line each; none where its verdict is that it is compliant. */
  readonly profileFaults: readonly string[];
  /** @throws Error when the command was not run to its end: what was not looked at is not fine */
  finding(command: string): Finding;
  readonly clientAuth: string;
};

type Report = {
  readonly server_scan_results: readonly {
    readonly scan_status: string;
    readonly connectivity_result: { readonly client_auth_requirement: string } | null;
    readonly scan_result: Readonly<Record<string, { readonly status: string; readonly result: Finding | null }>> | null;
  }[];
};

/**
 * Scans one listener against Mozilla's intermediate profile.
 * @param program the `sslyze` of the version in requirements.txt
 * @throws Error when there is no verdict: the scanner ends with exit code 0 where it could not connect, too
 */
export async function scan(program: string, { port, caFile, client }: ScanTarget, folder: string): Promise<Scan> {
  const reportFile = join(folder, `scan-${port}.json`);
  const { code, output } = await run(program, [
    '--mozilla_config=intermediate',
    '--early_data',
    '--resum',
    `--certinfo_ca_file=${caFile}`,
    `--json_out=${reportFile}`,
    ...(client ? [`--cert=${client.certFile}`, `--key=${client.keyFile}`] : []),
    `localhost:${port}`,
  ]);
  const verdict = output.split('COMPLIANCE AGAINST TLS CONFIGURATION')[1] ?? '';
  const profileFaults = Array.from(verdict.matchAll(/^ +\* (.+)$/gm), ([, fault = '']) => fault);
  const compliant = verdict.includes(`localhost:${port}: OK - Compliant.`);
  if (compliant !== (code === 0) || compliant !== (profileFaults.length === 0))
    throw new Error(`the scanner gave no verdict (exit code ${code}):\n${output}`);

  const report: Report = JSON.parse(await readFile(reportFile, 'utf8'));
  const [server] = report.server_scan_results;
  if (server?.scan_status !== 'COMPLETED') throw new Error(`the scan was not completed:\n${output}`);
  return {
    profileFaults,
    finding: (command) => {
      const attempt = server.scan_result?.[command];
      if (attempt?.status !== 'COMPLETED' || !attempt.result) throw new Error(`${command} was not run:\n${output}`);
      return attempt.result;
    },
    clientAuth: server.connectivity_result?.client_auth_requirement ?? 'unknown',
  };
}

function run(program: string, args: readonly string[]): Promise<{ code: number; output: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ code: number; output: string }>();
  execFile(program, args, { timeout: scanDeadlineMs }, (error, stdout, stderr) => {
    const output = stdout + stderr;
    if (error === null) resolve({ code: 0, output });
    // Anything but a number is that it could not be started, or was killed after its time.
    else if (typeof error.code === 'number') resolve({ code: error.code, output });
    else reject(new Error(`${program}: ${error.message}\n${output}`, { cause: error }));
  });
  return promise;
}
