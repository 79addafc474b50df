/** The short form: one mishap in each run, at every fourth write. `npm run campaign` takes every one. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { edits, mishaps, play, swapped } from './revision-story.ts';

describe('an image that rolls', () => {
  for (const [what, order] of [
    ['two edits', edits],
    ['the same two edits in the other order', swapped],
  ] as const) {
    test(`${what} and a roll back end as declared, and the roll back needs no download`, async () => {
      const { downloads } = await play(order);
      const needed = order.filter(({ isDownloaded }) => isDownloaded).map(({ data, keep }) => `${data}, keep ${keep}`);
      assert.deepEqual(downloads, needed);
    });
  }

  for (const [index, mishap] of mishaps.entries()) {
    test(`${mishap} at a write ends as declared, and breaks no invariant meanwhile`, async () => {
      const { writes } = await play(edits);
      for (let nth = 1 + (index % 4); nth <= writes; nth += 4) await play(edits, mishap, nth);
    });
  }
});
