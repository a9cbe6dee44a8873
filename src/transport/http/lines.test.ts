import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { BodyBudget } from './body-budget.ts';
import { readLines } from './lines.ts';

async function linesOf(chunks: readonly (string | Buffer)[], bytesMax: number): Promise<string[]> {
  const stream = Readable.from(chunks.map((chunk) => Buffer.from(chunk)));
  const lines: string[] = [];
  for await (const line of readLines(stream, bytesMax, new BodyBudget().share()))
    lines.push(line === 'too-long' ? '<too long>' : line.toString());
  return lines;
}

test('lines are found wherever the chunks are cut, the last one without a newline too', async () => {
  assert.deepEqual(await linesOf(['a\nb', 'b\n', '\nc', '', 'c'], 10), ['a', 'bb', 'cc']);
  assert.deepEqual(await linesOf([], 10), []);
  assert.deepEqual(await linesOf(['\n'], 10), []);
});

test('blank lines are left out, and a carriage return is part of its line', async () => {
  assert.deepEqual(await linesOf([' \t\r\n\r\na\r\n \n'], 10), ['a\r']);
});

test('a line of exactly the limit is a line, one byte more is too long, and the next line is whole again', async () => {
  assert.deepEqual(await linesOf(['xxxx\nyyyyy\nzzzz\n'], 4), ['xxxx', '<too long>', 'zzzz']);
  assert.deepEqual(await linesOf(['yyyy', 'y', 'yy', '\nz'], 4), ['<too long>', 'z']);
  assert.deepEqual(await linesOf(['yyyyy'], 4), ['<too long>']);
});

test('however the bytes are cut, the same lines come out', async () => {
  const text = fc
    .array(fc.constantFrom('a', 'ä', ' ', '\n', '\r', 'bb'), { maxLength: 60 })
    .map((parts) => parts.join(''));
  await fc.assert(
    fc.asyncProperty(
      text,
      fc.array(fc.nat(80), { maxLength: 8 }),
      fc.integer({ min: 1, max: 12 }),
      async (whole, cuts, max) => {
        const bytes = Buffer.from(whole);
        const ends = [...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].sort((a, b) => a - b);
        const chunks = ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
        const expected = whole
          .split('\n')
          .filter((line) => !/^[ \t\r]*$/.test(line) || Buffer.byteLength(line) > max)
          .map((line) => (Buffer.byteLength(line) > max ? '<too long>' : line));
        assert.deepEqual(await linesOf(chunks, max), expected);
      },
    ),
  );
});

test('an endless line is not collected', async () => {
  let chunksRead = 0;
  const chunk = Buffer.alloc(64 * 1024, 'x');
  async function* endless() {
    for (; chunksRead < 2_000; chunksRead++) yield chunk;
  }
  const before = process.memoryUsage().arrayBuffers;
  for await (const line of readLines(endless(), 1024, new BodyBudget().share())) assert.equal(line, 'too-long');
  assert.equal(chunksRead, 2_000);
  assert.ok(process.memoryUsage().arrayBuffers - before < 16 * 1024 * 1024);
});
