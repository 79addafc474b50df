/** Each mishap at each write of the life of an image that rolls, for both orders of two edits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { edits, mishaps, play, swapped } from './revision-story.ts';

for (const [what, order] of [
  ['two edits', edits],
  ['the same two edits in the other order', swapped],
] as const) {
  for (const mishap of mishaps) {
    test(`${what}: ${mishap} at each write ends as declared, and breaks no invariant meanwhile`, async () => {
      const failures: string[] = [];
      const { writes } = await play(order);
      for (let nth = 1; nth <= writes; nth++) {
        await play(order, mishap, nth).catch((error: unknown) => {
          failures.push(`write ${nth} of ${writes}: ${error instanceof Error ? error.message : error}`);
        });
      }
      assert.deepEqual(failures, []);
    });
  }
}
