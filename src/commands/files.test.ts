import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import test from 'node:test';
import fc from 'fast-check';
import { Failure } from './command.ts';
import { readLines } from './files.ts';

async function linesOf(chunks: readonly Buffer[]): Promise<string[]> {
  const groups = await Array.fromAsync(readLines(Readable.from(chunks), '--payload-file'));
  return groups.flat().map((line) => line.toString('latin1'));
}

test('lines are the same wherever the reads happened to end, so that no payload is split or joined', async () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '\r', '\n') });
  const cuts = fc.array(fc.nat({ max: 8 }), { minLength: 1 });
  await fc.assert(
    fc.asyncProperty(text, cuts, async (whole, sizes) => {
      const chunks: Buffer[] = [];
      for (let at = 0, turn = 0; at < whole.length; turn++) {
        const size = 1 + (sizes[turn % sizes.length] ?? 0);
        chunks.push(Buffer.from(whole.slice(at, at + size)));
        at += size;
      }
      const expected = whole.split('\n');
      if (expected.at(-1) === '') expected.pop();
      assert.deepEqual(await linesOf(chunks), expected);
    }),
  );
});

test('lines that arrived together come together, and at once', async () => {
  const source = Readable.from([Buffer.from('a\nb\nc'), Buffer.from('d\n')]);
  const groups = await Array.fromAsync(readLines(source, '--payload-file'));
  assert.deepEqual(
    groups.map((group) => group.map(String)),
    [['a', 'b'], ['cd']],
  );
});

test('a line that never ends is refused before it fills the memory', async () => {
  const part = Buffer.alloc(1024 * 1024, 'x');
  let read = 0;
  const endless = (async function* () {
    for (; read < 1000; read++) yield part;
  })();
  await assert.rejects(Array.fromAsync(readLines(endless, '--payload-file')), Failure);
  assert.ok(read < 40, `${read} MiB were read`);
});
