import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connectStack, type Stack } from '../env/stack.ts';
import { playTogether, type Result } from './interleaving.ts';

/**
 * `npm run campaign` takes 500. In 434, 245 and 267 another client uploads other data first, which shows it if unread data passes.
 * 12 has failed before: an image was forgotten that a lost status had named.
 */
const seeds = [434, 245, 267, ...Array.from({ length: 17 }, (_, at) => at + 1)];

describe('a resource in an interleaving of edits, faults and other clients', () => {
  let stack: Stack;
  before(async () => {
    stack = await connectStack();
  });
  after(() => stack.stop());

  for (const [replicas, chosen] of [
    [1, seeds.slice(0, 14)],
    [2, seeds.slice(14)],
  ] as const) {
    test(`a resource ends as declared under an operator with ${replicas} replica(s), after edits, faults and other clients at every step`, async (context) => {
      const results: Result[] = [];
      await playTogether(stack, chosen, replicas, (result) => results.push(result));
      context.diagnostic(results.map(({ seed, seconds }) => `${seed}: ${seconds.toFixed(0)} s`).join(', '));
      const failures = results.flatMap(({ failure = [] }) => failure);
      assert.equal(failures.length, 0, failures.join('\n\n'));
    });
  }
});
