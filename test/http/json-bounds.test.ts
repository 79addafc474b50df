import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { excessOf, jsonBounds } from '../../src/http/json-bounds.ts';

const wide = { values: 1_000_000, depth: 1_000, text: 1_000_000 };

function count(value: unknown): { values: number; depth: number; text: number } {
  if (typeof value === 'string') return { values: 0, depth: 0, text: JSON.stringify(value).length - 2 };
  if (typeof value !== 'object' || value === null) return { values: 0, depth: 0, text: 0 };
  const parts = Array.isArray(value) ? value : Object.values(value);
  const keys = Array.isArray(value) ? [] : Object.keys(value).map((key) => JSON.stringify(key).length - 2);
  const inner = parts.map(count);
  return {
    values: 1 + Math.max(0, parts.length - 1) + inner.reduce((sum, each) => sum + each.values, 0),
    depth: 1 + Math.max(0, ...inner.map((each) => each.depth)),
    text: Math.max(0, ...keys, ...inner.map((each) => each.text)),
  };
}

test('the bounds of JSON are those of its values, its depth and its strings, for any value', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      const exact = count(value);
      assert.equal(excessOf(text, exact), undefined);
      for (const bound of ['values', 'depth', 'text'] as const) {
        if (exact[bound] === 0) continue;
        const most = exact[bound] - 1;
        assert.deepEqual(excessOf(text, { ...wide, [bound]: most }), { bound, most });
      }
    }),
  );
});

test('any text has bounds, also one that is no JSON', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('"', '\\', '[', ']', '{', '}', ',', 'a') }), (text) => {
      excessOf(text, jsonBounds(10));
    }),
  );
});

const floods: [name: string, text: string, bound: string][] = [
  ['numbers', `[${'0,'.repeat(500_000)}0]`, 'values'],
  ['empty lists', `[${'[],'.repeat(500_000)}[]]`, 'values'],
  ['members', `{${'"a":1,'.repeat(500_000)}"a":1}`, 'values'],
  ['levels', '['.repeat(1_000_000), 'depth'],
  ['a string', `["${'a'.repeat(1_000_000)}"]`, 'text'],
  ['a string of escapes', `["${'\\"'.repeat(500_000)}"]`, 'text'],
];
for (const [name, text, bound] of floods) {
  test(`a flood of JSON is found before it is parsed: ${name}`, () => {
    assert.equal(excessOf(text, jsonBounds(20_000))?.bound, bound);
  });
}
