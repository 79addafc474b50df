import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { unifiedDiff } from '../../src/lib/unified-diff.ts';

test('a difference is shown with three lines around it', () => {
  const before = 'a\nb\nc\nd\ne\nf\ng\nh\n';
  const after = 'a\nb\nc\nd\nE\nf\ng\nh\n';
  assert.equal(
    unifiedDiff(before, after, ['cloud', 'declared']),
    '--- cloud\n+++ declared\n@@ -2,7 +2,7 @@\n b\n c\n d\n-e\n+E\n f\n g\n h\n',
  );
  assert.equal(unifiedDiff(before, before, ['a', 'b']), '');
});

/** As `patch` does. */
function applied(before: string, diff: string): string {
  const lines = before.split('\n').slice(0, -1);
  const result: string[] = [];
  let at = 0;
  for (const line of diff.split('\n').slice(2, -1)) {
    const [, start, length] = /^@@ -(\d+),(\d+) /.exec(line) ?? [];
    if (start !== undefined) {
      const from = Number(start) - (length === '0' ? 0 : 1);
      result.push(...lines.slice(at, from));
      at = from;
    } else if (line.startsWith('+')) result.push(line.slice(1));
    else {
      assert.equal(lines[at++], line.slice(1));
      if (line.startsWith(' ')) result.push(line.slice(1));
    }
  }
  return [...result, ...lines.slice(at)].map((line) => `${line}\n`).join('');
}

test('a unified diff that is applied to the first text gives the second one', () => {
  const lines = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 30 });
  const text = lines.map((all) => all.map((one) => `${one}\n`).join(''));
  fc.assert(
    fc.property(text, text, (before, after) => {
      const diff = unifiedDiff(before, after, ['file', 'file']);
      assert.equal(applied(before, diff), after, diff);
    }),
    { numRuns: 300, seed: 1 },
  );
});
