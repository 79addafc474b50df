import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connectStack, type Stack } from '../env/stack.ts';
import { countWrites, createScene, mishaps, playWith, type Scene } from './crash.ts';
import { followedLife } from './crash-followed.ts';
import { plainLife, rollingLife } from './crash-lives.ts';

/** The short form: a few of the writes for each mishap. `npm run campaign` takes every one. */
describe('a crash between any two writes loses nothing and duplicates nothing', () => {
  let stack: Stack;
  let scene: Scene;
  before(async () => {
    stack = await connectStack();
    scene = await createScene(stack);
  });
  after(async () => {
    await scene[Symbol.asyncDispose]();
    await stack.stop();
  });

  test('the life of an image that is created, edited and deleted needs exactly the expected number of writes', async () => {
    const writes = await countWrites(scene, plainLife);
    assert.ok(writes >= 9 && writes <= 14, `${writes} writes`);
  });

  for (const mishap of ['killed after', 'response lost of'] as const) {
    for (const nth of [2, 4, 7]) {
      test(`${plainLife.what}: ${mishap} write ${nth}`, async (context) => {
        context.diagnostic(await playWith(scene, plainLife, mishap, { nth }));
      });
    }
  }

  // One mishap of each kind in the first roll: at its record in the status, at the name of the image before, and at its own.
  for (const [index, nth] of [11, 12, 13].entries()) {
    const mishap = mishaps[index] ?? 'killed after';
    test(`${rollingLife.what}: ${mishap} write ${nth}, and each 15 further ones`, async (context) => {
      context.diagnostic(await playWith(scene, rollingLife, mishap, { nth, every: 15 }));
    });
  }

  test(`${followedLife.what}: killed after write 12, and each 25 further ones`, async (context) => {
    context.diagnostic(await playWith(scene, followedLife, 'killed after', { nth: 12, every: 25 }));
  });
});
