/** `eds device` against a real registry. */
import assert from 'node:assert/strict';
import { hostname, userInfo } from 'node:os';
import test, { type TestContext } from 'node:test';
import { formatEnrolment } from '../src/record/enrolment.ts';
import { provePossession } from '../src/record/possession.ts';
import { type CommandLineResult, eds } from './support/command-line.ts';
import { createTestDatabase } from './support/postgres.ts';
import { keyVectors, vectorKey } from './vectors/records.ts';

const [first = '', second = ''] = keyVectors.map(({ publicKey }) => publicKey.toString('hex'));

async function registry(t: TestContext, env: Readonly<Record<string, string>> = {}) {
  const { url } = await createTestDatabase(t);
  return async (line: string, stdin = ''): Promise<CommandLineResult> =>
    eds(['device', ...line.split(' ')], { stdin, env: { DATABASE_URL: url, ...env } });
}

const enrolment = formatEnrolment({
  deviceId: 'lift-03',
  key: { scheme: 'record-v2', publicKey: vectorKey.publicKey },
  proof: provePossession('lift-03', 'record-v2', vectorKey),
});

type Listed = {
  id: string;
  site?: string;
  enabled: boolean;
  keys: { scheme: string; valid_until?: string; revoked: boolean }[];
  gateways: string[];
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
  await device('gateway add lift-02 gateway-7');
  await device('register lift-03 --enrolment -', enrolment);
  const { stdout } = await device('list --json');
  assert.match(stdout, /"proof": "[0-9a-f]{128}"/);
  assert.deepEqual(await device('apply -f - --prune', stdout), {
    exitCode: 0,
    stdout: 'nothing to change\n',
    stderr: '',
  });
});

test('a gateway is added and removed by name; again changes nothing, and one that is not there is named', async (t) => {
  const device = await registry(t);
  await device(`register lift-01 --public-key ${first} --scheme payload-v1`);
  const added = 'gateway gateway-7 may speak for lift-01\n';
  for (let times = 0; times < 2; times++) assert.equal((await device('gateway add lift-01 gateway-7')).stdout, added);
  assert.deepEqual((await listed(device))[0]?.gateways, ['gateway-7']);
  assert.match((await device('list')).stdout, /^ {2}gateway gateway-7$/m);
  const removed = await device('gateway remove lift-01 gateway-7');
  assert.equal(removed.stdout, 'gateway gateway-7 may no longer speak for lift-01\n');
  for (const [line, message] of [
    ['gateway remove lift-01 gateway-7', /device lift-01 has no gateway gateway-7/],
    ['gateway add lift-1 gateway-7', /device lift-1 is not registered/],
    ['gateway add lift-01 a\tb', /gateway of device lift-01: must not contain control characters/],
  ] as const) {
    const { exitCode, stderr } = await device(line);
    assert.equal(exitCode, 1);
    assert.match(stderr, message);
  }
  for (let n = 1; n <= 16; n++) assert.equal((await device(`gateway add lift-01 gateway-${n}`)).exitCode, 0);
  assert.match((await device('gateway add lift-01 one-more')).stderr, /more than 16 gateways: remove one first/);
});

test('the gateways of the file are those registered, and a dry run shows it and leaves no trace', async (t) => {
  const device = await registry(t);
  await device(`register lift-01 --public-key ${first} --scheme payload-v1`);
  await device('gateway add lift-01 gateway-7');
  const file = (gateways: string) => `devices: [{id: lift-01, keys: [{public_key: ${first}}]${gateways}}]`;
  const before = await device('history --json');
  const dry = await device('apply -f - --dry-run', file(', gateways: [gateway-8]'));
  const difference = '+ gateway lift-01 gateway-8\n- gateway lift-01 gateway-7\n2 changes';
  assert.equal(dry.stdout, `${difference}, none made (--dry-run)\n`);
  assert.deepEqual(await device('history --json'), before);
  assert.deepEqual((await listed(device))[0]?.gateways, ['gateway-7']);
  assert.equal((await device('apply -f -', file(', gateways: [gateway-8]'))).stdout, `${difference}\n`);
  assert.deepEqual((await listed(device))[0]?.gateways, ['gateway-8']);
  assert.equal((await device('apply -f -', file(''))).stdout, 'nothing to change\n');
  assert.equal((await device('apply -f -', file(', gateways: []'))).stdout, '- gateway lift-01 gateway-8\n1 change\n');
});

test('the history says who did what and when, newest last, of one device or of all', async (t) => {
  const device = await registry(t, { EDS_ACTOR: 'alice@laptop' });
  await device(`register lift-01 --public-key ${first} --scheme payload-v1`);
  await device(`register lift-02 --public-key ${second} --scheme record-v2 --actor bob`);
  await device('suspend lift-01');
  await device('apply -f - --actor deploy', `devices: [{id: lift-01, enabled: true, keys: []}]`);
  const key = first.slice(0, 16);
  const { stdout, stderr } = await device('history lift-01');
  const lines = stdout.split('\n').map((line) => line.replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z {2}/, ''));
  assert.equal(stderr, '');
  assert.match(
    lines[1] ?? '',
    new RegExp(`^lift-01 {2}key_added: payload-v1:${key} from \\S+, by alice@laptop \\(role `),
  );
  assert.deepEqual(
    lines.map((line) => line.replace(/: .*by (\w+).*/, ' $1')),
    [
      'lift-01  device_registered alice',
      'lift-01  key_added alice',
      'lift-01  device_suspended alice',
      'lift-01  device_resumed deploy',
      '',
    ],
  );
  const { changes } = JSON.parse((await device('history --limit 3 --json')).stdout);
  assert.deepEqual(
    changes.map(({ device_id: id, change }: Record<string, string>) => `${id} ${change}`),
    ['lift-02 key_added', 'lift-01 device_suspended', 'lift-01 device_resumed'],
  );
  assert.deepEqual(Object.keys(changes[0]), ['at', 'device_id', 'change', 'message', 'actor']);
  const none = await device('history lift-9');
  assert.deepEqual([none.exitCode, none.stdout, none.stderr], [0, '', 'the operation log has no such change\n']);
});

test('who is not named is the user of the system, and a name that would break a line is refused', async (t) => {
  const device = await registry(t);
  await device(`register lift-01 --public-key ${first} --scheme payload-v1`);
  const { changes } = JSON.parse((await device('history --json')).stdout);
  assert.ok(changes[0].actor.startsWith(`${userInfo().username}@${hostname()} (role `), changes[0].actor);
  const { exitCode, stderr } = await device('suspend lift-01 --actor a\nb');
  assert.equal(exitCode, 2);
  assert.match(stderr, /--actor must not contain control characters/);
});
