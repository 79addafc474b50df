/** When the images that another one has replaced are due. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { imageIDOf } from '../../src/image/model/identity.ts';
import { asOperation } from '../../src/image/model/memory.ts';
import { retentionDueMs } from '../../src/image/model/retention.ts';
import { resourceOf, uid } from './resource.ts';
import { memoryOf, now } from './states.ts';

const hour = 3_600_000;
const ids = [0, 1, 2].map((number) => imageIDOf(uid, number));
const [first = '', second = '', third = ''] = ids;
const before = (ms: number) => new Date(now.getTime() - ms).toISOString();

/** The first image was replaced two hours ago, the second one after that. */
function dueMs(revisions: Record<string, unknown>, retired: { imageID: string; at: string; isUnused?: true }): unknown {
  const memory = { images: ids, promoted: third, retired: [{ imageID: first, at: before(2 * hour) }, retired] };
  const status = {
    revisions: ids.map((id, number) => ({
      imageID: id,
      number,
      state: id === third ? ('Current' as const) : ('Retired' as const),
    })),
    operation: asOperation(memoryOf(memory)),
  };
  return retentionDueMs(resourceOf({ spec: { revisions }, status }), now);
}

test('a replaced image is due when neither the number nor the time keeps it', () => {
  const retired = { imageID: second, at: before(hour) };
  assert.equal(dueMs({ keep: 2, keepFor: '0s' }, retired), undefined);
  assert.equal(dueMs({ keep: 1, keepFor: '0s' }, retired), 0);
  assert.equal(dueMs({ keep: 1, keepFor: '5h' }, retired), 3 * hour);
});

test('an image that never was the one to use is due at once, and takes no place of one that is kept', () => {
  const retired = { imageID: second, at: before(hour), isUnused: true as const };
  assert.equal(dueMs({ keep: 1, keepFor: '5h' }, retired), 0);
  assert.equal(dueMs({ keep: 2, keepFor: '0s' }, retired), 0);
});
