/** The offline commands as their users run them: what they print, where, and with which exit code. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { promisify } from 'node:util';
import { formatRecord } from '../src/record/format.ts';
import { parseRecord, parseRecords } from '../src/record/parse.ts';
import { eds } from './support/command-line.ts';
import { recordVectors, vectorKey } from './vectors/records.ts';

const seedHex = vectorKey.seed.toString('hex');
const publicHex = vectorKey.publicKey.toString('hex');
const withKey = { env: { EDS_PRIVATE_KEY_HEX: seedHex } };
const vectorLines = recordVectors.map(({ record }) => formatRecord(record));
const main = join(import.meta.dirname, '../src/main.ts');
const program = join(import.meta.dirname, '../src/commands/program.ts');

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eds-cli-'));
});
after(() => rm(folder, { recursive: true }));

test('the demo is the published one, record for record, so that other verifiers can be held against it', async () => {
  const records = join(folder, 'demo.json');
  const payloads = join(folder, 'demo-payloads.json');
  const { exitCode, stdout } = await eds(['demo-lift-inspection', '--out-file', records, '--payloads-file', payloads]);
  assert.equal(exitCode, 0);
  assert.match(stdout, /^DEMO_CREATED:.*demo\.json\nCHAIN_VALID\n$/);
  assert.deepEqual(
    parseRecords(await readFile(records, 'utf8')),
    recordVectors.map(({ record }) => record),
  );
  assert.deepEqual(
    JSON.parse(await readFile(payloads, 'utf8')),
    recordVectors.map(({ payload }) => payload.toString('hex')),
  );
});

test('a private key file is for its owner alone and is never overwritten unasked', async () => {
  const file = join(folder, 'device.key');
  assert.equal((await eds(['keygen', '--out', file])).exitCode, 0);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  const kept = await readFile(file, 'utf8');
  const again = await eds(['keygen', '--out', file]);
  assert.equal(again.exitCode, 1);
  assert.match(again.stderr, /^eds keygen: --out: .* exists already: .*--force\n$/);
  assert.equal(await readFile(file, 'utf8'), kept);
  assert.equal((await eds(['keygen', '--out', file, '--force'])).exitCode, 0);
  assert.notEqual(await readFile(file, 'utf8'), kept);
});

test('a key pair written to a file shows no private key on the terminal, and can be used from there', async () => {
  const file = join(folder, 'pair.key');
  const { stdout } = await eds(['keygen', '--out', file]);
  const pair = JSON.parse(await readFile(file, 'utf8'));
  assert.deepEqual(JSON.parse(stdout), { public_key_hex: pair.public_key_hex });
  const inspected = await eds(['inspect-key', '--private-key-file', file]);
  assert.deepEqual(inspected, { exitCode: 0, stderr: '', stdout });
});

test('a private key given as an argument warns that it shows; from the environment or a file it does not', async () => {
  const argument = await eds(['inspect-key', '--json', '--private-key-hex', seedHex]);
  assert.equal(argument.stdout, `{"public_key_hex":"${publicHex}"}\n`);
  assert.match(argument.stderr, /^warning: --private-key-hex shows in the process list/);
  const fromStdin = { stdin: `${seedHex}\n` };
  for (const [args, input] of [
    [[], withKey],
    [['--private-key-file', '-'], fromStdin],
  ] as const) {
    const quiet = await eds(['inspect-key', '--json', ...args], input);
    assert.deepEqual(quiet, { exitCode: 0, stdout: argument.stdout, stderr: '' });
  }
});

test('a private key with a slip in it is not repeated on the terminal', async () => {
  const slip = `${seedHex.slice(0, -1)}g`;
  const file = join(folder, 'slip.key');
  await writeFile(file, slip);
  for (const result of [
    await eds(['inspect-key', '--private-key-hex', slip]),
    await eds(['inspect-key'], { env: { EDS_PRIVATE_KEY_HEX: slip, EDS_DEBUG: '1' } }),
    await eds(['inspect-key', '--private-key-file', file]),
  ]) {
    assert.notEqual(result.exitCode, 0);
    assert.ok(!`${result.stdout}${result.stderr}`.includes(slip.slice(0, 8)), result.stderr);
  }
});

test('sign-record makes the published record from the published values', async () => {
  for (const { record, payload } of recordVectors) {
    const { stdout, exitCode } = await eds(
      [
        'sign-record',
        ...['--device-id', record.deviceId, '--sequence', `${record.sequence}`],
        ...['--timestamp-ms', `${record.timestampMs}`, '--object-ref', record.objectRef],
        ...['--payload', payload.toString(), '--prev-hash-hex', record.prevRecordHash.toString('hex')],
      ],
      withKey,
    );
    assert.equal(exitCode, 0);
    assert.deepEqual(parseRecord(stdout), record);
  }
});

test('sign-record refuses what no service would take, naming the flag, before it is signed and sent', async () => {
  const sound = { 'device-id': 'lift-01', sequence: '1', payload: 'x', 'object-ref': 'lift-01/1' };
  for (const [wrong, says] of [
    [{ sequence: '0' }, /--sequence must be a whole number from 1 to 9223372036854775807, got '0'/],
    [{ sequence: '9223372036854775808' }, /--sequence must be/],
    [{ sequence: '2' }, /--prev-hash-hex must be given: the record hash of sequence 1/],
    [{ 'timestamp-ms': '1e3' }, /--timestamp-ms must be/],
    [{ 'prev-hash-hex': '00' }, /--prev-hash-hex must be 64 hexadecimal digits/],
    [{ 'object-ref': '../lift-02/1' }, /--object-ref must name an object/],
    [{ 'device-id': '' }, /--device-id must not be empty/],
    [{ scheme: 'none' }, /--scheme must be payload-v1 or record-v2, got 'none'/],
    [{ 'payload-file': '-' }, /either as --payload TEXT or as --payload-file FILE/],
  ] as const) {
    const args = Object.entries({ ...sound, ...wrong }).flatMap(([flag, value]) => [`--${flag}`, value]);
    const { exitCode, stderr, stdout } = await eds(['sign-record', ...args], withKey);
    assert.deepEqual([exitCode, stdout], [2, ''], stderr);
    assert.match(stderr, says);
    assert.match(stderr, /^eds sign-record: [^\n]*\n$/, 'one line, without a stack trace');
  }
});

test('every flag can come from the environment, and a flag on the command line wins over it', async () => {
  const env = {
    ...withKey.env,
    EDS_DEVICE_ID: 'lift-09',
    EDS_SEQUENCE: '1',
    EDS_PAYLOAD: 'x',
    EDS_OBJECT_REF: 'lift-09/1',
    EDS_SCHEME: 'record-v2',
    EDS_OUT: '',
  };
  const { stdout, exitCode } = await eds(['sign-record', '--device-id', 'lift-01'], { env });
  assert.equal(exitCode, 0);
  assert.equal(parseRecord(stdout).deviceId, 'lift-01');
  const verify = (scheme: string) =>
    eds(['verify-record', '--record-file', '-', '--public-key-hex', publicHex, '--scheme', scheme], { stdin: stdout });
  assert.equal((await verify('record-v2')).stdout, 'VALID\n');
  const wrong = await verify('payload-v1');
  assert.deepEqual([wrong.exitCode, wrong.stdout], [1, 'INVALID\n']);
  assert.match(wrong.stderr, /but it is with --scheme record-v2/);
});

test('verify-record tells a changed payload and a changed record from a sound one', async () => {
  const [vector] = recordVectors;
  assert.ok(vector);
  const recordFile = join(folder, 'record.json');
  await writeFile(recordFile, formatRecord(vector.record));
  const verify = (payload: string) =>
    eds(
      ['verify-record', '--record-file', recordFile, '--public-key-hex', publicHex, '--payload-file', '-', '--json'],
      {
        stdin: payload,
      },
    );
  const hash = vector.recordHash.toString('hex');
  const sound = await verify(vector.payload.toString());
  assert.deepEqual([sound.exitCode, JSON.parse(sound.stdout)], [0, { valid: true, record_hash: hash }]);
  const other = await verify('another payload');
  assert.equal(other.exitCode, 1);
  assert.match(JSON.parse(other.stdout).reason, /the payload is another one/);
  const changed = { ...vector.record, signature: Buffer.alloc(64) };
  const unsigned = await eds(['verify-record', '--record-file', '-', '--public-key-hex', publicHex], {
    stdin: formatRecord(changed),
  });
  assert.deepEqual([unsigned.exitCode, unsigned.stdout], [1, 'INVALID\n']);
});

test('verify-chain says of an export what was verified, and plainly what was not', async () => {
  const array = `[\n${vectorLines.join(',\n')}\n]`;
  for (const stdin of [array, vectorLines.join('\n'), `${vectorLines.join('\r\n')}\r\n\n`]) {
    const signed = await eds(['verify-chain', '--records-file', '-', '--device', `lift-01=${publicHex}`], { stdin });
    assert.equal(signed.exitCode, 0, signed.stderr);
    assert.match(signed.stdout, /^CHAIN_VALID\nlift-01: sequence 1 to 3, head [0-9a-f]{64}, signatures verified\n/);
    assert.doesNotMatch(signed.stdout, /NOT/);
    const unsigned = await eds(['verify-chain', '--records-file', '-'], { stdin });
    assert.equal(unsigned.exitCode, 0);
    assert.match(unsigned.stdout, /Signatures were NOT checked for 1 of 1 devices/);
  }
});

test('verify-chain names the line, device and sequence of the first break, and what was expected', async () => {
  const [first = '', second = '', third = ''] = vectorLines;
  const keys = ['--device', `lift-01=${publicHex}`];
  const forged = second.replace(/"signature":"../, '"signature":"ff');
  for (const [lines, args, says] of [
    [[first, third], [], /line 2: device=lift-01 sequence=3: a record is missing: expected sequence 2, got sequence 3/],
    [
      [first, second, second],
      [],
      /line 3: device=lift-01 sequence=2: a record is repeated or out of order: expected sequence 3/,
    ],
    [[second, third], [], /line 1: .*does not start at sequence 1 .*--partial/],
    [[first, forged, third], [], /line 3: .*does not link .*expected prev_record_hash [0-9a-f]{64}, got [0-9a-f]{64}/],
    [[first, forged], keys, /line 2: .*sequence=2: the signature is not valid/],
    [[first, '{"device_id":1}'], [], /line 2: record.device_id must be text/],
    [[], [], /holds no record/],
  ] as const) {
    const stdin = lines.join('\n');
    const { exitCode, stderr, stdout } = await eds(['verify-chain', '--records-file', '-', ...args], { stdin });
    assert.equal(exitCode, 1);
    assert.doesNotMatch(stdout, /CHAIN_VALID/);
    assert.match(stderr, says);
  }
  const partial = await eds(['verify-chain', '--records-file', '-', '--partial', ...keys], {
    stdin: `${second}\n${third}`,
  });
  assert.match(partial.stdout, /CHAIN_VALID\nlift-01: sequence 2 to 3/);
});

test('every command explains itself: an example, and for each option a description and its variable', async () => {
  const { stdout: overview } = await eds(['--help']);
  const names = [...overview.matchAll(/^ {2}([a-z-]+) \[options\]/gm)].map(([, name]) => name ?? '');
  assert.ok(names.includes('send') && names.includes('verify-chain'), overview);
  for (const name of names) {
    const { stdout, exitCode } = await eds([name, '--help']);
    assert.equal(exitCode, 0);
    const options = stdout.match(/^ {2}(?!-h, )-.*(\n {10,}.*)*/gm) ?? [];
    for (const option of options)
      assert.match(option.replace(/\s+/g, ' '), / {1}.*\(env: [A-Z0-9_]+\)/, `${name} ${option}`);
    if (options.length > 0) assert.match(stdout, /\nExamples?:\n {2}\$ /, name);
  }
});

test('a wrong command line ends with exit code 2 and one line that shows the way out', async () => {
  for (const [args, says] of [
    [
      ['keygen', '--forse'],
      /^eds keygen: unknown option '--forse' \(Did you mean --force\?\); see eds keygen --help\n$/,
    ],
    [['keygenn'], /^eds: unknown command 'keygenn' \(Did you mean keygen\?\)/],
    [['sign-record'], /^eds sign-record: required option '--device-id <id>' not specified/],
    [['verify-chain', '--records-file'], /^eds verify-chain: option '--records-file <file>' argument missing/],
    [['verify-chain', '--records-file', '-', '--device', 'lift-01'], /--device must be ID=PUBKEY_HEX/],
    [['verify-record', '--record-file', '-', '--public-key-hex', '00'.repeat(32)], /a point of small order/],
  ] as const) {
    const { exitCode, stderr, stdout } = await eds(args);
    assert.deepEqual([exitCode, stdout], [2, '']);
    assert.match(stderr, says);
  }
  assert.equal((await eds([])).exitCode, 2);
  assert.equal((await eds(['keygen'], { env: { EDS_JSON: 'perhaps' } })).exitCode, 2);
});

test('a stack trace is shown only to who asks for it with EDS_DEBUG', async () => {
  const missing = ['verify-chain', '--records-file', join(folder, 'missing')];
  assert.doesNotMatch((await eds(missing)).stderr, /\n\s+at /);
  assert.match((await eds(missing, { env: { EDS_DEBUG: '1' } })).stderr, /\n\s+at /);
});

const execute = promisify(execFile);

test('src/main.ts is executable, and ends with the exit code of its command', async () => {
  const env = { ...process.env, PATH: `${join(process.execPath, '..')}:${process.env.PATH}` };
  const { stdout } = await execute(main, ['inspect-key', '--json'], { env: { ...env, ...withKey.env } });
  assert.equal(stdout, `{"public_key_hex":"${publicHex}"}\n`);
  await assert.rejects(execute(main, ['--no-such-option'], { env }), { code: 2, stdout: '' });
});

test('the offline commands start without loading the server, the database or the object store', async () => {
  const script = `
    import { createRequire } from 'node:module';
    await import(${JSON.stringify(program)});
    console.log(Object.keys(createRequire(import.meta.url).cache).join('\\n'));`;
  const { stdout } = await execute(process.execPath, ['--input-type=module', '--eval', script]);
  assert.match(stdout, /node_modules\/commander\//, 'the list of loaded modules is real');
  assert.doesNotMatch(stdout, /node_modules\/(express|pg|@aws-sdk|@opentelemetry|prom-client)\//);
});
