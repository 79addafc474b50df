/** The short form of the random lives: a few of them, always others. `npm run campaign` plays many. */
import { test } from 'node:test';
import fc from 'fast-check';
import { anyLife, playLife } from './roll-lives.ts';

test('a random life of an image that rolls keeps its invariants and ends as declared', async () => {
  await fc.assert(fc.asyncProperty(anyLife, playLife), { numRuns: 8 });
});
