import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { type DrainStep, drain } from './lifecycle.ts';

function recorder() {
  const lines: { level: string; message: string; step: unknown }[] = [];
  const note = (level: string) => (fields: { step?: unknown }, message: string) => {
    lines.push({ level, message, step: fields.step });
  };
  return { lines, log: { info: note('info'), error: note('error') } };
}

/** Far more than an instant, far less than a test's patience; only steps that never end reach it. */
const shortMs = 20;
const neverReachedMs = 60_000;
const step = (name: string, run: DrainStep['run'], deadlineMs = neverReachedMs): DrainStep => ({
  name,
  deadlineMs,
  run,
});

test('each step begins when the one before it has ended', async () => {
  const order: string[] = [];
  const slow = (name: string) =>
    step(name, async () => {
      order.push(`${name} begins`);
      await new Promise(setImmediate);
      order.push(`${name} ends`);
    });
  const { lines, log } = recorder();
  assert.equal(await drain([slow('stop accepting'), slow('finish in flight')], log), true);
  assert.deepEqual(order, [
    'stop accepting begins',
    'stop accepting ends',
    'finish in flight begins',
    'finish in flight ends',
  ]);
  assert.deepEqual(lines, [
    { level: 'info', message: 'drain step done', step: 'stop accepting' },
    { level: 'info', message: 'drain step done', step: 'finish in flight' },
  ]);
});

test('a step that hangs is told so, logged and passed over: what follows is still saved', async () => {
  let told = false;
  let closed = false;
  const hanging = step(
    'finish in flight',
    (signal) => {
      signal.addEventListener('abort', () => {
        told = true;
      });
      return new Promise(() => {});
    },
    shortMs,
  );
  const close = step('close the pool', async () => {
    closed = true;
  });
  const { lines, log } = recorder();
  assert.equal(await drain([hanging, close], log), false);
  assert.deepEqual({ told, closed }, { told: true, closed: true });
  assert.deepEqual(lines[0], { level: 'error', message: 'drain step overran its deadline', step: 'finish in flight' });
});

test('a step that fails, even at once or too late, does not stop the others', async () => {
  let closed = false;
  const failAtOnce = step('a', () => {
    throw new Error('broken');
  });
  const failLate = step(
    'b',
    (signal) => new Promise((_, fail) => signal.addEventListener('abort', () => fail(signal.reason))),
    shortMs,
  );
  const close = step('c', async () => {
    closed = true;
  });
  const { lines, log } = recorder();
  assert.equal(await drain([failAtOnce, failLate, close], log), false);
  assert.ok(closed);
  assert.deepEqual(
    lines.map(({ message }) => message),
    ['drain step failed', 'drain step overran its deadline', 'drain step done'],
  );
});

const program = `
  import { trapSignals } from ${JSON.stringify(new URL('./lifecycle.ts', import.meta.url).href)};
  const trap = trapSignals();
  const pending = setInterval(() => {}, 1000);
  trap.signal.addEventListener('abort', () => {
    console.log('asked by ' + trap.signal.reason);
    if (process.argv[1] !== 'stuck') { clearInterval(pending); trap[Symbol.dispose](); }
  });
  if (process.argv[1] === 'reloading') {
    { using listening = trap.onReload(() => console.log('told after all')); }
    trap.onReload(() => console.log('reloading'));
  }
  console.log('up');
`;

async function run(t: { signal: AbortSignal }, manner: 'obedient' | 'stuck' | 'reloading') {
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, manner], {
    stdio: ['ignore', 'pipe', 'inherit'],
    signal: t.signal,
  });
  child.stdout.setEncoding('utf8');
  const said = async () => String((await once(child.stdout, 'data'))[0]).trim();
  assert.equal(await said(), 'up');
  return { child, said, exited: once(child, 'exit') };
}

test('the first signal asks for an orderly stop', { timeout: 30_000 }, async (t) => {
  const { child, said, exited } = await run(t, 'obedient');
  child.kill('SIGTERM');
  assert.equal(await said(), 'asked by SIGTERM');
  assert.deepEqual(await exited, [0, null]);
});

test('a second signal ends a stop that hangs at once', { timeout: 30_000 }, async (t) => {
  for (const [name, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    const { child, said, exited } = await run(t, 'stuck');
    child.kill('SIGTERM');
    assert.equal(await said(), 'asked by SIGTERM');
    child.kill(name);
    assert.deepEqual(await exited, [code, null]);
  }
});

test('SIGHUP asks a service to read its files again, every time, and ends nothing', { timeout: 30_000 }, async (t) => {
  const { child, said, exited } = await run(t, 'reloading');
  for (let times = 0; times < 2; times++) {
    child.kill('SIGHUP');
    assert.equal(await said(), 'reloading');
  }
  child.kill('SIGTERM');
  assert.equal(await said(), 'asked by SIGTERM');
  assert.deepEqual(await exited, [0, null]);
});

test('SIGHUP ends a command that has nothing to read again', { timeout: 30_000 }, async (t) => {
  const { child, exited } = await run(t, 'obedient');
  child.kill('SIGHUP');
  assert.deepEqual(await exited, [null, 'SIGHUP']);
});
