/** The database of `eds relay` after its disk has failed it: said to be damaged, never replaced. */
import assert from 'node:assert/strict';
import { mkdir, open, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Site, sendUntilTaken } from './relay/site.ts';
import { eds } from './support/command-line.ts';
import { TestDevice } from './support/service.ts';

type Damage = (file: string) => Promise<void>;
const damages: Record<string, Damage> = {
  'cut to half its length': async (file) => truncate(file, Math.floor((await readFile(file)).length / 2 / 4096) * 4096),
  'cut in the middle of a page': async (file) => truncate(file, (await readFile(file)).length - 1000),
  'cut to nothing': (file) => truncate(file, 0),
  'overwritten in the middle': async (file) => {
    await using handle = await open(file, 'r+');
    await handle.write(Buffer.alloc(4096, 0xa5), 0, 4096, 2 * 4096);
  },
  'another file': (file) => writeFile(file, 'not a database at all'.repeat(1000)),
};

for (const [how, damage] of Object.entries(damages)) {
  test(`a database that was ${how} is said to be damaged, and is left as it is`, async (t) => {
    const site = await Site.create(t);
    const device = new TestDevice('lift-01');
    const relay = await site.startRelay([device]);
    await sendUntilTaken(device.nextBodies(100), () => relay);
    assert.equal(await relay.stop(), 0);
    const file = join(site.dataDirectory, 'relay.db');
    await damage(file);
    const before = await readFile(file);

    const signal = AbortSignal.timeout(30_000);
    const { exitCode, stderr } = await eds([...site.relayArgs, '--ops-addr=127.0.0.1:0'], { signal });
    assert.equal(exitCode, 1);
    assert.ok(stderr.includes(`${file} is damaged`), stderr);
    assert.deepEqual(await readFile(file), before);
  });
}

test('a data directory whose database has gone while its last records are there is said to be damaged', async (t) => {
  const site = await Site.create(t);
  await mkdir(site.dataDirectory);
  await writeFile(join(site.dataDirectory, 'relay.db-wal'), 'records');
  const { exitCode, stderr } = await eds([...site.relayArgs, '--ops-addr=127.0.0.1:0']);
  assert.equal(exitCode, 1);
  assert.match(stderr, /relay\.db is damaged: it is gone/);
});
