import assert from 'node:assert/strict';
import { parseHead } from '../../../src/device/ingest-answer.ts';
import type { ChainHead } from '../../../src/record/record.ts';
import { type Endpoint, IngressClient } from './ingress-client.ts';
import type { KubernetesObject } from './namespace.ts';
import { say, until } from './progress.ts';
import type { Site } from './site.ts';

type Job = KubernetesObject & { readonly status: { readonly succeeded?: number; readonly failed?: number } };

/** What `eds audit --json` prints, as far as it is looked at. */
type AuditReport = {
  readonly clean: boolean;
  readonly records: number;
  readonly payloads: { readonly checked: number };
};

let audits = 0;

/**
 * Each device's chain ends, for the service, with the last record that the device was told is accepted.
 * @returns how many records that makes
 */
export async function assertHeads({ endpoint, devices }: Site): Promise<bigint> {
  let records = 0n;
  for (const { id, head } of devices) {
    assert.deepEqual(await readHead(endpoint, id), head, `the chain of ${id}`);
    records += head.sequence;
  }
  return records;
}

/**
 * No acknowledged record is lost: the chains end with the last of them, each record links to the one before, and the audit
 * finds every link, down to the first record, and every payload.
 */
export async function assertNothingLost(site: Site): Promise<void> {
  const acknowledged = await assertHeads(site);
  const report = await audit(site);
  say(`  audit clean: ${report.records} records, ${report.payloads.checked} payloads; acknowledged: ${acknowledged}`);
  assert.equal(report.clean, true);
  // Other devices may have some as well: the one of helm test.
  assert.ok(BigInt(report.records) >= acknowledged, 'records are missing');
  assert.equal(report.payloads.checked, report.records);
}

/** Answered over a connection of its own. The ingress may take a moment to learn of an Ingress. */
export function readHead(endpoint: Endpoint, deviceId: string): Promise<ChainHead> {
  return until(`the head of ${deviceId}`, async () => {
    using client = new IngressClient(endpoint, { keepAlive: false });
    const exchange = await client.send(`/api/v1/devices/${deviceId}/head`);
    return exchange.kind === 'answer' && exchange.status === 200 ? parseHead(exchange.text) : undefined;
  });
}

/** Runs the chart's audit now. @throws Error with what it says, when it finds a break */
async function audit({ namespace, release }: Site): Promise<AuditReport> {
  const name = `audit-${++audits}`;
  await namespace.kubectl('create', 'job', name, `--from=cronjob/${release.name}-audit`);
  const { status } = await until(`job ${name}`, async () => {
    const job = await namespace.get<Job>('job', name);
    return job.status.succeeded || job.status.failed ? job : undefined;
  });
  const log = await namespace.kubectl('logs', `job/${name}`);
  assert.equal(status.succeeded, 1, `the audit failed: ${log}`);
  const report: AuditReport = JSON.parse(log.trim().split('\n').at(-1) ?? '');
  return report;
}
