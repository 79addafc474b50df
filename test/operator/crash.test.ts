import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connectStack, type Stack } from '../env/stack.ts';
import { countWrites, type Mishap, playWith } from './crash.ts';

/** The short form: three of the writes for each mishap. `npm run campaign` takes every one. */
describe('a crash between any two writes loses nothing and duplicates nothing', () => {
  let stack: Stack;
  let writes = 0;
  before(async () => {
    stack = await connectStack();
    writes = await countWrites(stack);
  });
  after(() => stack.stop());

  test('the scenario needs exactly the expected number of writes', () => {
    assert.ok(writes >= 9 && writes <= 14, `${writes} writes`);
  });

  for (const mishap of ['killed after', 'response lost of'] satisfies Mishap[]) {
    for (const nth of [2, 4, 7]) {
      test(`${mishap} write ${nth}`, async (context) => {
        context.diagnostic(await playWith(stack, mishap, nth));
      });
    }
  }
});
