/** The bound on a map. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BoundedMap } from '../../src/lib/bounded-map.ts';

test('a bounded map drops the entry that was set longest ago', () => {
  const map = new BoundedMap<string, number>(2);
  map.set('a', 1).set('b', 2).set('a', 3).set('c', 4);
  assert.deepEqual(
    [...map],
    [
      ['a', 3],
      ['c', 4],
    ],
  );
});

test('a bounded map holds exactly the keys that were set last', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(fc.integer({ min: 0, max: 8 })), (most, keys) => {
      const map = new BoundedMap<number, number>(most);
      for (const key of keys) map.set(key, key);
      const latest = [...new Set(keys.toReversed())].slice(0, most).toReversed();
      assert.deepEqual([...map.keys()], latest);
    }),
  );
});
