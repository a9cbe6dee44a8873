/** `eds device` against a real registry. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { type CommandLineResult, eds } from './support/command-line.ts';
import { createTestDatabase } from './support/postgres.ts';
import { keyVectors } from './vectors/records.ts';

const [first = '', second = ''] = keyVectors.map(({ publicKey }) => publicKey.toString('hex'));

async function registry(t: TestContext) {
  const { url } = await createTestDatabase(t);
  return async (line: string, stdin = ''): Promise<CommandLineResult> =>
    eds(['device', ...line.split(' ')], { stdin, env: { DATABASE_URL: url } });
}

type Listed = {
  id: string;
  site?: string;
  enabled: boolean;
  keys: { scheme: string; valid_until?: string; revoked: boolean }[];
};

async function listed(device: Awaited<ReturnType<typeof registry>>): Promise<Listed[]> {
  return JSON.parse((await device('list --json')).stdout).devices;
}

test('registering twice is registering once, so that a deployment can run it every time', async (t) => {
  const device = await registry(t);
  const line = `register lift-01 --public-key ${first} --scheme payload-v1 --site north --valid-until 2099-01-01T00:00:00Z`;
  const { exitCode, stdout } = await device(line);
  assert.deepEqual([exitCode, stdout], [0, `registered lift-01 with payload-v1:${first}\n`]);
  assert.equal((await device(line)).exitCode, 0);
  const [lift] = await listed(device);
  assert.equal(lift?.site, 'north');
  assert.equal(lift?.keys.length, 1);
  assert.equal(lift?.keys[0]?.valid_until, '2099-01-01T00:00:00.000Z');
  assert.match(
    (await device('list')).stdout,
    new RegExp(`^lift-01 {2}enabled +site north\\n {2}payload-v1:${first} {2}from`),
  );
});

test('the scheme must be said: a forgotten flag must not register the weaker one', async (t) => {
  const device = await registry(t);
  const { exitCode, stderr } = await device(`register lift-01 --public-key ${first}`);
  assert.equal(exitCode, 2);
  assert.match(stderr, /--scheme/);
});

test('a rotation lets both keys count for the overlap, and keeps the scheme', async (t) => {
  const device = await registry(t);
  await device(`register lift-01 --public-key ${first} --scheme record-v2`);
  const { stdout } = await device(`rotate lift-01 --public-key ${second} --overlap 2h`);
  assert.equal(stdout, `rotated lift-01 to record-v2:${second}\n`);
  const [lift] = await listed(device);
  const endMs = Date.parse(lift?.keys[0]?.valid_until ?? '') - Date.now();
  assert.ok(Math.abs(endMs - 2 * 3600 * 1000) < 60_000, `ends in ${endMs} ms`);
  assert.equal(lift?.keys[1]?.valid_until, undefined);
});

test('revoking needs to be told what, and says when there was nothing to revoke', async (t) => {
  const device = await registry(t);
  await device(`register lift-01 --public-key ${first} --scheme payload-v1`);
  assert.equal((await device('revoke lift-01')).exitCode, 2);
  assert.equal((await device(`revoke lift-01 --all --public-key ${first}`)).exitCode, 2);
  assert.equal((await device(`revoke lift-01 --public-key ${first}`)).stdout, 'revoked 1 key of lift-01\n');
  const again = await device('revoke lift-01 --all');
  assert.equal(again.exitCode, 1);
  assert.match(again.stderr, /lift-01 has no such key that is not revoked already/);
  const back = await device(`register lift-01 --public-key ${first} --scheme payload-v1`);
  assert.match(back.stderr, /was revoked: register a new one/);
});

test('a device is suspended and resumed; one that is not there is named', async (t) => {
  const device = await registry(t);
  await device(`register lift-01 --public-key ${first} --scheme payload-v1`);
  assert.equal((await device('suspend lift-01')).stdout, 'suspended lift-01\n');
  assert.equal((await listed(device))[0]?.enabled, false);
  assert.equal((await device('resume lift-01')).stdout, 'resumed lift-01\n');
  assert.equal((await listed(device))[0]?.enabled, true);
  const unknown = await device('suspend lift-1');
  assert.deepEqual([unknown.exitCode, unknown.stderr], [1, 'eds device suspend: device lift-1 is not registered\n']);
});

const file = `
devices:
  - id: lift-01
    site: south
    keys:
      - public_key: ${second}
        scheme: record-v2
  - id: lift-02
    enabled: false
    keys: []
`;

test('apply shows the difference, makes it, and finds none the second time', async (t) => {
  const device = await registry(t);
  await device(`register lift-01 --public-key ${first} --scheme payload-v1`);
  await device(`register old-01 --public-key ${first} --scheme payload-v1`);
  const difference = [
    '~ device lift-01: site none -> south',
    `+ key lift-01 record-v2:${second} from now`,
    '+ device lift-02, suspended',
    `? key lift-01 payload-v1:${first} is not in the file: left as it is (--prune revokes it)`,
    '? device old-01 is not in the file: left as it is (--prune suspends it and revokes its keys)',
  ];
  const dry = await device('apply -f - --dry-run', file);
  assert.deepEqual(dry.stdout.split('\n'), [...difference, '3 changes, none made (--dry-run)', '']);
  assert.equal((await listed(device)).length, 2);
  const applied = await device('apply -f -', file);
  assert.deepEqual(applied.stdout.split('\n'), [...difference, '3 changes', '']);
  assert.match((await device('apply -f -', file)).stdout, /\nnothing to change\n$/);
});

test('prune suspends and revokes what the file does not name, and deletes nothing', async (t) => {
  const device = await registry(t);
  await device(`register lift-01 --public-key ${first} --scheme payload-v1`);
  await device(`register old-01 --public-key ${first} --scheme payload-v1`);
  const { stdout } = await device('apply -f - --prune', file);
  assert.match(stdout, /^- device old-01: suspended$/m);
  assert.match(stdout, new RegExp(`^- key lift-01 payload-v1:${first}: revoked$`, 'm'));
  const devices = new Map((await listed(device)).map((one) => [one.id, one]));
  assert.equal(devices.get('old-01')?.enabled, false);
  assert.deepEqual(
    devices.get('lift-01')?.keys.map(({ revoked }) => revoked),
    [true, false],
  );
  assert.equal((await device('apply -f - --prune', file)).stdout, 'nothing to change\n');
});

test('what cannot be done leaves everything undone', async (t) => {
  const device = await registry(t);
  await device(`register lift-01 --public-key ${first} --scheme payload-v1`);
  await device('revoke lift-01 --all');
  const back = `devices:\n  - {id: new-01, keys: []}\n  - {id: lift-01, keys: [{public_key: ${first}, revoked: false}]}\n`;
  const { exitCode, stderr } = await device('apply -f -', back);
  assert.equal(exitCode, 1);
  assert.match(stderr, /was revoked and stays so/);
  assert.deepEqual(
    (await listed(device)).map(({ id }) => id),
    ['lift-01'],
  );
});

test('no file makes an honest ledger broken: the times of a key that has counted stay', async (t) => {
  const device = await registry(t);
  await device(`register lift-01 --public-key ${first} --scheme payload-v1`);
  const before = await listed(device);
  const file = (times: string) => `devices: [{id: lift-01, keys: [{public_key: ${first}, ${times}}]}]`;
  for (const dryRun of ['', ' --dry-run']) {
    const past = 'valid_from: 2020-01-01T00:00:00Z, valid_until: 2020-01-02T00:00:00Z';
    const { exitCode, stderr } = await device(`apply -f -${dryRun}`, file(past));
    assert.equal(exitCode, 1);
    assert.match(stderr, /leave valid_from out, it cannot move any more; .*valid_until cannot move into the past/);
  }
  assert.deepEqual(await listed(device), before);
  const ends = await device('apply -f -', file('valid_until: 2099-01-02T00:00:00Z'));
  assert.match(ends.stdout, /until none -> 2099-01-02T00:00:00.000Z\n1 change\n$/, ends.stderr);
});

test('what list prints as JSON is a file that apply finds nothing to do about', async (t) => {
  const device = await registry(t);
  await device('apply -f -', file);
  await device(`register lift-01 --public-key ${first} --scheme payload-v1 --valid-until 2099-01-01T00:00:00Z`);
  await device(`revoke lift-01 --public-key ${second}`);
  const { stdout } = await device('list --json');
  assert.deepEqual(await device('apply -f - --prune', stdout), {
    exitCode: 0,
    stdout: 'nothing to change\n',
    stderr: '',
  });
});
