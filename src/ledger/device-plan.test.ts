import assert from 'node:assert/strict';
import test from 'node:test';
import { type DeviceSpec, type KeySpec, planDevices } from './device-plan.ts';
import type { RegisteredDevice, RegisteredKey } from './device-rows.ts';

const nowMs = 1_800_000_000_000;
const always = { validFromMs: 0.25, validUntilMs: undefined, revokedAtMs: undefined, proof: undefined };
const key = (byte: number, more: Partial<RegisteredKey> = {}): RegisteredKey => ({
  scheme: 'payload-v1',
  publicKey: Buffer.alloc(32, byte),
  ...always,
  ...more,
});
const named = (byte: number) => ({ scheme: 'payload-v1', publicKey: Buffer.alloc(32, byte) }) as const;
const registered = (keys: readonly RegisteredKey[], more: Partial<RegisteredDevice> = {}): RegisteredDevice => ({
  id: 'lift-01',
  site: 'north',
  enabled: true,
  revision: 1n,
  keys,
  gateways: [],
  ...more,
});
const plan = (specs: readonly DeviceSpec[], devices: readonly RegisteredDevice[], prune = false) =>
  planDevices(specs, devices, { prune, requireProof: false, nowMs });
const kinds = (specs: readonly DeviceSpec[], devices: readonly RegisteredDevice[], prune = false) =>
  plan(specs, devices, prune).changes.map(({ kind, id }) => `${kind} ${id}`);

test('a file that leaves things out changes nothing about them: a suspended device stays suspended', () => {
  const devices = [registered([key(1, { validUntilMs: nowMs * 2 })], { enabled: false })];
  assert.deepEqual(kinds([{ id: 'lift-01', keys: [named(1)] }], devices), []);
});

test('a time that differs by microseconds only is the same time', () => {
  const spec = { id: 'lift-01', keys: [{ ...named(1), validFromMs: 0 }] };
  assert.deepEqual(kinds([spec], [registered([key(1)])]), []);
});

test('null takes a value away', () => {
  const devices = [registered([key(1, { validUntilMs: nowMs * 2 })])];
  const spec = { id: 'lift-01', site: null, keys: [{ ...named(1), validUntilMs: null }] };
  assert.deepEqual(kinds([spec], devices), ['set-site lift-01', 'set-validity lift-01']);
});

test('what the file does not name is named and left, and retired only when asked to prune', () => {
  const devices = [registered([key(1), key(2)]), registered([key(3)], { id: 'old-01' })];
  const spec = { id: 'lift-01', keys: [named(1)] };
  const left = plan([spec], devices);
  assert.deepEqual(left.changes, []);
  assert.deepEqual(
    left.unlisted.map(({ id, key }) => [id, key?.publicKey[0]]),
    [
      ['lift-01', 2],
      ['old-01', undefined],
    ],
  );
  const pruned = plan([spec], devices, true);
  assert.deepEqual(pruned.unlisted, []);
  assert.deepEqual(kinds([spec], devices, true), ['revoke-key lift-01', 'set-enabled old-01', 'revoke-key old-01']);
});

test('pruning twice finds nothing the second time', () => {
  const retired = registered([key(1, { revokedAtMs: nowMs })], { id: 'old-01', enabled: false });
  assert.deepEqual(plan([], [retired], true).changes, []);
  assert.deepEqual(plan([], [retired]).unlisted, []);
});

test('a revoked key cannot be called back', () => {
  const devices = [registered([key(1, { revokedAtMs: nowMs })])];
  const spec = { id: 'lift-01', keys: [{ ...named(1), revoked: false }] };
  assert.match(plan([spec], devices).problems.join(), /key lift-01 payload-v1:0101.* was revoked and stays so/);
});

test('a validity that ends before it begins is refused, for a new key from now on', () => {
  const spec = (validUntilMs: number) => ({ id: 'new-01', keys: [{ ...named(1), validUntilMs }] });
  assert.match(plan([spec(nowMs)], []).problems.join(), /would end before it begins/);
  assert.deepEqual(plan([spec(nowMs + 1)], []).problems, []);
});

test('the times of a key that may have admitted records stay: the audit re-checks the past with them', () => {
  const minute = 60_000;
  const begun = key(1, { validFromMs: nowMs - minute, validUntilMs: nowMs + minute });
  const soon = key(1, { validFromMs: nowMs + minute });
  const later = key(1, { validFromMs: nowMs + minute + 1 });
  const ended = key(1, { validUntilMs: nowMs });
  const tries: readonly (readonly [RegisteredKey, Partial<KeySpec>, RegExp | undefined])[] = [
    [begun, { validFromMs: 0 }, /leave valid_from out, it cannot move any more/],
    [begun, { validFromMs: nowMs + 1 }, /leave valid_from out/],
    [begun, { validUntilMs: nowMs - 1 }, /valid_until cannot move into the past, to 2027-01-15T07:59:59.999Z: revoke/],
    [begun, { validUntilMs: nowMs }, undefined],
    [begun, { validUntilMs: null }, undefined],
    [soon, { validFromMs: nowMs + 2 * minute }, /about to: leave valid_from out/],
    [later, { validFromMs: nowMs - 1 }, /valid_from cannot move into the past/],
    [later, { validFromMs: nowMs }, undefined],
    [ended, { validUntilMs: null }, /has ended: valid_until cannot move any more, register a new key/],
    [ended, { validUntilMs: nowMs + 1 }, /has ended/],
  ];
  for (const [before, times, problem] of tries) {
    const { changes, problems } = plan([{ id: 'lift-01', keys: [{ ...named(1), ...times }] }], [registered([before])]);
    if (problem === undefined) assert.deepEqual([changes.map(({ kind }) => kind), problems], [['set-validity'], []]);
    else assert.match(problems.join(), problem, JSON.stringify(times));
  }
});

test('no more current keys than the verifier tries; keys that have ended do not count', () => {
  const ended = key(99, { validUntilMs: nowMs - 1 });
  const spec = (count: number) => ({
    id: 'lift-01',
    keys: [named(99), ...Array.from({ length: count }, (_, index) => named(index + 1))],
  });
  assert.deepEqual(plan([spec(8)], [registered([ended])]).problems, []);
  assert.match(plan([spec(9)], [registered([ended])]).problems.join(), /9 current keys: the most is 8/);
});

test('gateways are exactly those of the file; a file that does not speak of them leaves them', () => {
  const served = registered([key(1)], { gateways: ['gateway-1', 'gateway-2'] });
  const spec = (gateways?: string[]) => ({ id: 'lift-01', keys: [named(1)], gateways });
  const changes = (gateways?: string[]) =>
    plan([spec(gateways)], [served]).changes.map((change) =>
      'identity' in change ? `${change.kind} ${change.identity}` : change.kind,
    );
  assert.deepEqual(changes(), []);
  assert.deepEqual(changes(['gateway-2', 'gateway-1']), []);
  assert.deepEqual(changes(['gateway-2', 'gateway-3']), ['add-gateway gateway-3', 'remove-gateway gateway-1']);
  assert.deepEqual(changes([]), ['remove-gateway gateway-1', 'remove-gateway gateway-2']);
  assert.deepEqual(kinds([{ id: 'new-01', keys: [], gateways: ['gateway-1'] }], []), [
    'add-device new-01',
    'add-gateway new-01',
  ]);
});

test('a proof is kept once, and taken neither away nor for another', () => {
  const [proof, other] = [Buffer.alloc(64, 1), Buffer.alloc(64, 2)];
  const spec = (proof?: Buffer) => ({ id: 'lift-01', keys: [{ ...named(1), proof }] });
  assert.deepEqual(kinds([spec(proof)], [registered([key(1)])]), ['prove-key lift-01']);
  assert.deepEqual(kinds([spec()], [registered([key(1, { proof })])]), []);
  assert.deepEqual(kinds([spec(other)], [registered([key(1, { proof })])]), []);
});

test('where proofs are required, no key counts without one, be it new or known', () => {
  const proof = Buffer.alloc(64, 1);
  const problems = (spec: Partial<KeySpec>, devices: readonly RegisteredDevice[]) =>
    planDevices([{ id: 'lift-01', keys: [{ ...named(1), ...spec }] }], devices, {
      prune: false,
      requireProof: true,
      nowMs,
    }).problems.join();
  const lacking = /key lift-01 payload-v1:0101.* has no proof of possession: run 'eds device enrol'/;
  assert.match(problems({}, []), lacking);
  assert.match(problems({}, [registered([key(1)])]), lacking);
  assert.equal(problems({ proof }, []), '');
  assert.equal(problems({ proof }, [registered([key(1)])]), '');
  assert.equal(problems({}, [registered([key(1, { proof })])]), '');
  assert.equal(problems({ revoked: true }, [registered([key(1)])]), '');
  assert.equal(problems({}, [registered([key(1, { validUntilMs: nowMs })])]), '');
});
