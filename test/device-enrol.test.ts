/** `eds device enrol` on the device's side, and what the operator makes of it, against a real registry. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { type CommandLineResult, eds } from './support/command-line.ts';
import { createTestDatabase } from './support/postgres.ts';
import { recordCount, startService } from './support/service.ts';
import { keyVectors, vectorKey } from './vectors/records.ts';

const hex = (key = vectorKey) => key.publicKey.toString('hex');

/** On the device's side: no database, no secret in the arguments. */
async function enrolment(deviceId: string, scheme: string, key = vectorKey): Promise<string> {
  const env = { EDS_PRIVATE_KEY_HEX: key.seed.toString('hex') };
  const { exitCode, stdout, stderr } = await eds(['device', 'enrol', '--device-id', deviceId, '--scheme', scheme], {
    env,
  });
  assert.deepEqual([exitCode, stderr], [0, '']);
  return stdout;
}

async function registry(t: TestContext, env: Readonly<Record<string, string>> = {}) {
  const { url } = await createTestDatabase(t);
  return async (line: string, stdin = ''): Promise<CommandLineResult> =>
    eds(['device', ...line.split(' ')], { stdin, env: { DATABASE_URL: url, ...env } });
}

test('a device makes its key, enrols, is registered with the proof, and sends', async (t) => {
  await using service = await startService(t);
  const folder = await mkdtemp(join(tmpdir(), 'eds-enrol-'));
  t.after(() => rm(folder, { recursive: true }));
  const [keyFile, enrolmentFile] = [join(folder, 'lift-01.key'), join(folder, 'lift-01.enrolment.json')];
  const env = { DATABASE_URL: service.databaseUrl };
  const run = async (...args: string[]) => {
    const { exitCode, stdout, stderr } = await eds(args, { env });
    assert.equal(exitCode, 0, stderr);
    return stdout;
  };
  const side = ['--device-id', 'lift-01', '--private-key-file', keyFile];
  await run('keygen', '--out', keyFile);
  await run('device', 'enrol', ...side, '--out', enrolmentFile);
  const { private_key_hex: secret, public_key_hex: publicKey } = JSON.parse(await readFile(keyFile, 'utf8'));
  assert.ok(!(await readFile(enrolmentFile, 'utf8')).includes(secret));
  const registered = await run('device', 'register', 'lift-01', '--enrolment', enrolmentFile, '--require-proof');
  assert.equal(registered, `registered lift-01 with record-v2:${publicKey}, proven\n`);
  assert.match(await run('device', 'list'), new RegExp(`record-v2:${publicKey} {2}from \\S+ {2}proven\n`));
  await run('send', '--url', service.url, ...side, '--scheme', 'record-v2', '--payload', 'door=ok');
  assert.equal(await recordCount(service.pool, 'lift-01'), 1);
});

test('an enrolment that exists is not replaced unasked, and a device id that cannot be registered is refused at once', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'eds-enrol-'));
  t.after(() => rm(folder, { recursive: true }));
  const out = join(folder, 'enrolment.json');
  await writeFile(out, 'mine');
  const env = { EDS_PRIVATE_KEY_HEX: vectorKey.seed.toString('hex') };
  const again = await eds(['device', 'enrol', '--device-id', 'lift-01', '--out', out], { env });
  assert.deepEqual([again.exitCode, await readFile(out, 'utf8')], [1, 'mine']);
  const reserved = await eds(['device', 'enrol', '--device-id', 'records'], { env });
  assert.deepEqual([reserved.exitCode, reserved.stdout], [2, '']);
  assert.match(reserved.stderr, /--device-id 'records': 'records' is reserved/);
});

test('what is not proven for this device and scheme is not registered, and it is said why', async (t) => {
  const device = await registry(t);
  const mine = await enrolment('lift-01', 'record-v2');
  const tampered = mine.replace(/"proof": "(.)/, (_, digit) => `"proof": "${digit === '0' ? '1' : '0'}`);
  for (const [line, text, message] of [
    ['register lift-01', tampered, /--enrolment: '-' proof does not hold/],
    ['register lift-01', mine.replace('record-v2', 'payload-v1'), /proof does not hold/],
    ['register lift-01', mine.replace(hex(), hex(keyVectors[1])), /proof does not hold/],
    ['register lift-01', mine.replace('lift-01', 'lift-02'), /proof does not hold/],
    ['register lift-02', mine, /'-' is for device lift-01, not for lift-02/],
    ['register lift-01', mine.slice(0, -5), /is not JSON/],
    ['register lift-01', '', /is not JSON/],
    ['rotate lift-01', tampered, /proof does not hold/],
  ] as const) {
    const { exitCode, stderr } = await device(`${line} --enrolment -`, text);
    assert.equal(exitCode, 1);
    assert.match(stderr, message);
  }
  assert.equal((await device('list')).stdout, '');
});

test('a proof and a bare key together are refused: one of them was not meant', async (t) => {
  const device = await registry(t);
  const mine = await enrolment('lift-01', 'record-v2');
  for (const more of [`--public-key ${hex()}`, '--scheme payload-v1']) {
    const { exitCode, stderr } = await device(`register lift-01 --enrolment - ${more}`, mine);
    assert.equal(exitCode, 2);
    assert.match(stderr, /leave out --public-key and --scheme/);
  }
  const none = await device('register lift-01');
  assert.deepEqual([none.exitCode, /give the key: --enrolment/.test(none.stderr)], [2, true]);
});

test('variables that the environment happens to have do not get in the way of an enrolment', async (t) => {
  const device = await registry(t, { EDS_SCHEME: 'payload-v1', EDS_PUBLIC_KEY: hex(keyVectors[1]) });
  const { stdout } = await device('register lift-01 --enrolment -', await enrolment('lift-01', 'record-v2'));
  assert.equal(stdout, `registered lift-01 with record-v2:${hex()}, proven\n`);
});

test('where a proof is required, by flag or variable, no key is registered without one', async (t) => {
  const device = await registry(t, { EDS_REQUIRE_PROOF: 'true' });
  const bare = `--public-key ${hex()} --scheme record-v2`;
  for (const line of [`register lift-01 ${bare}`, `rotate lift-01 ${bare}`]) {
    const { exitCode, stderr } = await device(line);
    assert.equal(exitCode, 2);
    assert.match(stderr, /--require-proof: give --enrolment/);
  }
  const file = (proof: string) => `devices: [{id: lift-01, keys: [{public_key: ${hex()}, scheme: record-v2${proof}}]}]`;
  const refused = await device('apply -f -', file(''));
  assert.equal(refused.exitCode, 1);
  assert.match(refused.stderr, /key lift-01 record-v2:\w+ has no proof of possession/);
  assert.equal((await device('list')).stdout, '');
  const { proof } = JSON.parse(await enrolment('lift-01', 'record-v2'));
  assert.equal((await device('apply -f -', file(`, proof: ${proof}`))).exitCode, 0);
  assert.match((await device('apply -f -', file(''))).stdout, /^nothing to change$/m);
});

test('a key that was registered bare is proven later, once, and rotated to a proven one', async (t) => {
  const device = await registry(t);
  await device(`register lift-01 --public-key ${hex()} --scheme record-v2`);
  const mine = await enrolment('lift-01', 'record-v2');
  assert.doesNotMatch((await device('list')).stdout, /proven/);
  for (let times = 0; times < 2; times++)
    assert.equal((await device('register lift-01 --enrolment -', mine)).exitCode, 0);
  assert.match((await device('list')).stdout, /proven/);
  const next = await enrolment('lift-01', 'record-v2', keyVectors[1]);
  const { stdout } = await device('rotate lift-01 --enrolment -', next);
  assert.equal(stdout, `rotated lift-01 to record-v2:${hex(keyVectors[1])}, proven\n`);
  const { changes } = JSON.parse((await device('history lift-01 --json')).stdout);
  assert.deepEqual(
    changes.map(({ change }: { change: string }) => change),
    ['device_registered', 'key_added', 'key_proven', 'key_added', 'key_validity_changed'],
  );
});

test('a file with a proof that does not hold is refused as a whole, naming the line', async (t) => {
  const device = await registry(t);
  const { proof } = JSON.parse(await enrolment('lift-01', 'record-v2'));
  const file = (id: string) => `devices:
  - id: new-01
    keys: []
  - id: ${id}
    keys:
      - public_key: ${hex()}
        scheme: record-v2
        proof: ${proof}
`;
  const { exitCode, stderr } = await device('apply -f -', file('lift-02'));
  assert.equal(exitCode, 1);
  assert.match(stderr, /-: line 8: proof does not hold for record-v2 and this key of device lift-02/);
  assert.equal((await device('list')).stdout, '');
  const applied = await device('apply -f -', file('lift-01'));
  assert.match(applied.stdout, /^\+ key lift-01 record-v2:\w+ from now, proven$/m);
});
