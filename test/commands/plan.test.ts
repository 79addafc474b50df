/** The command `plan` on real servers. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { anyPair, createForesight, type Foresight } from './foresight.ts';

let foresight: Foresight;
before(async () => {
  foresight = await createForesight();
});
after(() => foresight[Symbol.asyncDispose]());

test('the steps that plan prints are those that the operator then takes, for random declarations and states of the cloud', async () => {
  const reached = new Set<string>();
  for (const pair of fc.sample(anyPair, { seed: 20260104, numRuns: 8 })) {
    try {
      for (const step of await foresight.compare(pair)) reached.add(step);
    } catch (error) {
      throw new Error(JSON.stringify(pair), { cause: error });
    }
  }
  for (const step of ['create', 'transfer', 'change']) assert.ok(reached.has(step), [...reached].join());
});
