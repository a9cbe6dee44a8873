import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import test from 'node:test';
import { Progress } from './progress.ts';

function shown(isTTY: boolean, timesMs: readonly number[]): string {
  const output = Object.assign(new PassThrough(), { isTTY });
  let nowMs = 0;
  {
    using progress = new Progress(output, () => nowMs);
    for (const timeMs of timesMs) {
      nowMs = timeMs;
      progress.update(() => `at ${timeMs}`);
    }
  }
  return output.read()?.toString() ?? '';
}

test('a terminal shows one line, written over and taken away at the end', () => {
  assert.equal(shown(true, [50, 100, 150, 200]), '\rat 100\x1b[K\rat 200\x1b[K\r\x1b[K');
});

test('a log gets a line now and then, and none from what is over soon', () => {
  assert.equal(shown(false, [50, 9999, 10_000, 15_000, 20_000]), 'at 10000\nat 20000\n');
  assert.equal(shown(false, [100]), '');
});
