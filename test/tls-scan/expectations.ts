import type { Finding, Scan } from './sslyze.ts';

/** Whether a client can come back to an earlier session, and so skip the costly half of a handshake. */
export type Resumption = 'by ticket' | 'none';

export type Expected = {
  /** As the handshake shows it to a client that has none; undefined where the scanner presents one, and does not tell. */
  readonly clientAuth: 'DISABLED' | 'OPTIONAL' | undefined;
  readonly resumption: Resumption;
};

/** What is looked at beside the profile, in part once more: a later profile must not make it silently less. */
const findings: readonly { readonly what: string; readonly command: string; readonly wanted: Finding }[] = [
  {
    what: 'no renegotiation begun by the client',
    command: 'session_renegotiation',
    wanted: {
      is_vulnerable_to_client_renegotiation_dos: false,
      client_renegotiations_success_count: 0,
      supports_secure_renegotiation: true,
    },
  },
  { what: 'no compression (CRIME)', command: 'tls_compression', wanted: { supports_compression: false } },
  { what: 'no early data (replay)', command: 'tls_1_3_early_data', wanted: { supports_early_data: false } },
  { what: 'no Heartbleed', command: 'heartbleed', wanted: { is_vulnerable_to_heartbleed: false } },
  {
    what: 'no ROBOT: no RSA key exchange',
    command: 'robot',
    wanted: { robot_result: 'NOT_VULNERABLE_RSA_NOT_SUPPORTED' },
  },
  { what: 'no CCS injection', command: 'openssl_ccs_injection', wanted: { is_vulnerable_to_ccs_injection: false } },
  {
    what: 'downgrades are noticed (TLS_FALLBACK_SCSV)',
    command: 'tls_fallback_scsv',
    wanted: { supports_fallback_scsv: true },
  },
  { what: 'extended master secret', command: 'tls_extended_master_secret', wanted: { supports_ems_extension: true } },
  ...(['ssl_2_0', 'ssl_3_0', 'tls_1_0', 'tls_1_1'] as const).map((version) => ({
    what: `no ${version}`,
    command: `${version}_cipher_suites`,
    wanted: { is_tls_version_supported: false },
  })),
  ...(['tls_1_2', 'tls_1_3'] as const).map((version) => ({
    what: `${version} is served`,
    command: `${version}_cipher_suites`,
    wanted: { is_tls_version_supported: true },
  })),
];

const resumptions: Readonly<Record<Resumption, Finding>> = {
  'by ticket': { session_id_resumption_result: 'NOT_SUPPORTED', tls_ticket_resumption_result: 'FULLY_SUPPORTED' },
  none: { session_id_resumption_result: 'NOT_SUPPORTED', tls_ticket_resumption_result: 'NOT_SUPPORTED' },
};

export type Outcome = { readonly what: string; readonly faults: readonly string[] };

/** Everything that was looked at, each with what is wrong with it. */
export function judge(scan: Scan, { clientAuth, resumption }: Expected): Outcome[] {
  const wantedOfAll = [
    ...findings,
    { what: `resumption: ${resumption}`, command: 'session_resumption', wanted: resumptions[resumption] },
  ];
  const asked = differences({ clientAuth: scan.clientAuth }, { clientAuth });
  return [
    { what: "Mozilla's intermediate profile", faults: scan.profileFaults },
    ...(clientAuth === undefined
      ? []
      : [{ what: `client certificates in the handshake: ${clientAuth}`, faults: asked }]),
    ...wantedOfAll.map(({ what, command, wanted }) => ({ what, faults: differences(scan.finding(command), wanted) })),
  ];
}

/** What the scanner has to find in a listener that allows everything, or it would find nothing of ours either. */
export function missedIn(outcomes: readonly Outcome[]): string[] {
  const faulty = outcomes.filter(({ faults }) => faults.length > 0).map(({ what }) => what);
  const wanted = ["Mozilla's intermediate profile", 'no renegotiation begun by the client', 'no tls_1_0', 'no tls_1_1'];
  return wanted.filter((what) => !faulty.includes(what));
}

const differences = (found: Finding, wanted: Finding): string[] =>
  Object.keys(wanted)
    .filter((name) => found[name] !== wanted[name])
    .map((name) => `${name} is ${found[name]}, not ${wanted[name]}`);
