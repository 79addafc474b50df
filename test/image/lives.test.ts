/** Random lives of resources that create, observe and take over images, that move and are restored. */
import { test } from 'node:test';
import fc from 'fast-check';
import { anyEvent, anyStart, live } from './lives.ts';

test('any life of edits, losses, changes by others and moves ends with the declared image, once', async () => {
  const anyLife = fc.asyncProperty(anyStart, fc.array(anyEvent, { maxLength: 9 }), live);
  await fc.assert(anyLife, { numRuns: 150, seed: 1 });
});
