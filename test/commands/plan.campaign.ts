/** As plan.test.ts, for a hundred pairs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyPair, createForesight } from './foresight.ts';

test('the steps that plan prints are those that the operator then takes, for a hundred random pairs', async () => {
  await using foresight = await createForesight();
  const seed = Number(process.env['SEED'] ?? 20260105);
  const reached = new Map<string, number>();
  for (const [index, pair] of fc.sample(anyPair, { seed, numRuns: 100 }).entries()) {
    try {
      for (const step of await foresight.compare(pair)) reached.set(step, (reached.get(step) ?? 0) + 1);
    } catch (error) {
      throw new Error(`pair ${index} of seed ${seed}: ${JSON.stringify(pair)}`, { cause: error });
    }
  }
  for (const step of ['resolve', 'create', 'transfer', 'change', 'retire', 'delete', 'verify'])
    assert.ok((reached.get(step) ?? 0) > 0, JSON.stringify([...reached]));
});
