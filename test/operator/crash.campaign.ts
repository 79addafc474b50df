import { after, before, describe, test } from 'node:test';
import { connectStack, type Stack } from '../env/stack.ts';
import { countWrites, type Mishap, playWith } from './crash.ts';

describe('a crash between any two writes loses nothing and duplicates nothing', () => {
  let stack: Stack;
  before(async () => {
    stack = await connectStack();
  });
  after(() => stack.stop());

  for (const mishap of ['killed after', 'response lost of'] satisfies Mishap[]) {
    test(`${mishap} each single write`, async (context) => {
      const writes = await countWrites(stack);
      for (let nth = 1; nth <= writes; nth++) {
        await context.test(`${mishap} write ${nth} of ${writes}`, async (step) => {
          step.diagnostic(await playWith(stack, mishap, nth));
        });
      }
    });
  }
});
