import assert from 'node:assert/strict';
import test from 'node:test';
import { HeadCache } from './head-cache.ts';

const head = (sequence: bigint) => ({ sequence, recordHash: Buffer.alloc(32, Number(sequence)) });

test('an answer that was overtaken on its way does not take a head back', () => {
  const heads = new HeadCache(10);
  heads.advance('lift-01', head(5n));
  heads.advance('lift-01', head(4n));
  assert.deepEqual(heads.get('lift-01'), head(5n));
  heads.advance('lift-01', head(6n));
  assert.deepEqual(heads.get('lift-01'), head(6n));
});

test('the cache keeps the heads that were used last and no more than its bound', () => {
  const heads = new HeadCache(2);
  heads.advance('a', head(1n));
  heads.advance('b', head(2n));
  heads.get('a');
  heads.advance('c', head(3n));
  assert.deepEqual(
    ['a', 'b', 'c'].map((id) => heads.get(id)?.sequence),
    [1n, undefined, 3n],
  );
});

test('a head that a restored Postgres has lost is forgotten, and an older one can be learnt', () => {
  const heads = new HeadCache(10);
  heads.advance('lift-01', head(5n));
  heads.forget('lift-01');
  assert.equal(heads.get('lift-01'), undefined);
  heads.advance('lift-01', head(4n));
  assert.deepEqual(heads.get('lift-01'), head(4n));
});
