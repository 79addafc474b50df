import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connectStack, type Stack } from '../env/stack.ts';
import { playTogether, type Result } from './interleaving.ts';

/**
 * `--seed=N` after `--` replays one, `--runs=N` and `--from=N` choose others: as arguments of this file, or in
 * GLANCE_IMAGE_OPERATOR_INTERLEAVING, since the runner of tests passes on no arguments.
 */
const given = `${process.argv.slice(2).join(' ')} ${process.env['GLANCE_IMAGE_OPERATOR_INTERLEAVING'] ?? ''}`;
const numberOf = (name: string) => {
  const found = new RegExp(`--${name}[= ](\\d+)`).exec(given)?.[1];
  return found === undefined ? undefined : Number(found);
};
const one = numberOf('seed');
const from = one ?? numberOf('from') ?? 1;
const runs = one === undefined ? (numberOf('runs') ?? 500) : 1;
const together = 20;

describe('a resource in an interleaving of edits, faults and other clients', () => {
  let stack: Stack;
  before(async () => {
    stack = await connectStack();
  });
  after(() => stack.stop());

  for (let first = from; first < from + runs; first += together) {
    const seeds = Array.from({ length: Math.min(together, from + runs - first) }, (_, at) => first + at);
    const replicas = Math.floor(first / together) % 4 < 3 ? 1 : 2;
    test(`the runs from seed ${first} end as declared, with ${replicas} replica(s) of the operator`, async (context) => {
      const results: Result[] = [];
      await playTogether(stack, seeds, replicas, (result) => {
        results.push(result);
        if (result.failure !== undefined) process.stderr.write(`${result.failure}\n\n`);
        else if (one !== undefined) process.stderr.write(`${result.journal.join('\n')}\n`);
      });
      context.diagnostic(results.map(({ seed, seconds }) => `${seed}: ${seconds.toFixed(0)} s`).join(', '));
      const failed = results.filter(({ failure }) => failure !== undefined).map(({ seed }) => seed);
      assert.deepEqual(failed, []);
    });
  }
});
