/** Many random lives of an image that rolls. */
import { test } from 'node:test';
import fc from 'fast-check';
import { anyLife, playLife } from './roll-lives.ts';

test('each of many random lives of an image that rolls keeps its invariants and ends as declared', async () => {
  await fc.assert(fc.asyncProperty(anyLife, playLife), { numRuns: 300 });
});
