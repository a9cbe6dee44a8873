/**
 * The first installation as docs/deploy.md prints it: nothing is said but what the guide says, so the nodes have to have the
 * image by the chart's own name for it. KUBECONFIG names the cluster.
 */
import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { serverCertificate } from '../support/certificates.ts';
import { followGuide } from './support/guide.ts';
import { Namespace } from './support/namespace.ts';
import { clusterMissing } from './support/settings.ts';

const inCheckout = (name: string) => join(import.meta.dirname, '../..', name);
/** What the guide has its reader write, or bring along. */
const written = ['lift-01.key', 'devices.yaml', 'tls.crt', 'tls.key'].map(inCheckout);
const options = { skip: process.env.KUBECONFIG ? false : clusterMissing };

test('whoever types the guide has a service that has taken a first record', options, async (t) => {
  t.after(() => Promise.all(written.map((file) => rm(file, { force: true }))));
  await using namespace = await Namespace.create();
  for (const block of ['install', 'restricted', 'helm-test', 'same-again']) await followGuide(block, namespace);
  assert.match(await followGuide('first-record', namespace), /1 delivered/);
  const { cert, key } = await serverCertificate();
  // Not over a file that somebody has there.
  await writeFile(inCheckout('tls.crt'), cert, { flag: 'wx' });
  await writeFile(inCheckout('tls.key'), key, { flag: 'wx' });
  assert.match(await followGuide('certificate', namespace), /secret\/ingest-tls created/);
  await followGuide('uninstall', namespace);
});
