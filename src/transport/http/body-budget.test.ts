import assert from 'node:assert/strict';
import test from 'node:test';
import { BodyBudget, BodyBudgetExceeded } from './body-budget.ts';

test('all bodies together hold no more than the budget, and what one gives back another may take', () => {
  const budget = new BodyBudget(100);
  const [one, other] = [budget.share(), budget.share()];
  one.hold(60);
  other.hold(40);
  assert.throws(() => other.hold(41), BodyBudgetExceeded);
  assert.equal(budget.bytes, 100);
  one.hold(10);
  other.hold(90);
  one[Symbol.dispose]();
  other[Symbol.dispose]();
  assert.equal(budget.bytes, 0);
});
