import { after, before, describe, test } from 'node:test';
import { connectStack, type Stack } from '../env/stack.ts';
import { countWrites, createScene, mishaps, playWith } from './crash.ts';
import { followedLife } from './crash-followed.ts';
import { plainLife, rollingLife, swappedLife } from './crash-lives.ts';

/** So many writes lie between two mishaps of the same run. */
const apart = new Map([
  [plainLife, undefined],
  [rollingLife, 6],
  [swappedLife, 6],
  [followedLife, 6],
]);

describe('a crash between any two writes loses nothing and duplicates nothing', { concurrency: 3 }, () => {
  let stack: Stack;
  before(async () => {
    stack = await connectStack();
  });
  after(() => stack.stop());

  for (const [life, every] of apart) {
    for (const mishap of mishaps) {
      test(`${life.what}: ${mishap} each write`, async (context) => {
        await using scene = await createScene(stack);
        const writes = await countWrites(scene, life);
        for (let nth = 1; nth <= (every ?? writes); nth++) {
          const which = every === undefined ? `write ${nth}` : `write ${nth} and each ${every} further ones`;
          await context.test(`${mishap} ${which} of ${writes}`, async (step) => {
            step.diagnostic(await playWith(scene, life, mishap, every === undefined ? { nth } : { nth, every }));
          });
        }
      });
    }
  }
});
