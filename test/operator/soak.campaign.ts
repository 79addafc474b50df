import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connectStack, type Stack } from '../env/stack.ts';
import { type Measure, randomOf, Soak } from './soak.ts';

/** GLANCE_IMAGE_OPERATOR_SOAK_SECONDS makes it shorter or longer. */
const seconds = Number(process.env['GLANCE_IMAGE_OPERATOR_SOAK_SECONDS'] ?? 1800);

/**
 * What may be added over the last two thirds, as a part of the median and in any case so much. In twenty minutes there are more
 * than a thousand changes and several thousand reconciles: a kilobyte lost in each would be a tenth of the heap, a descriptor,
 * a socket or a timer lost in one of a hundred would be dozens. Resident memory as such has no bound: V8 reserves room for a heap
 * that it is allowed, whether there is anything in it or not.
 */
const bounds: readonly { measure: Measure; part: number; atLeast: number }[] = [
  { measure: 'heap', part: 0.1, atLeast: 4 * 2 ** 20 },
  { measure: 'outside', part: 0.15, atLeast: 16 * 2 ** 20 },
  { measure: 'external', part: 0.2, atLeast: 4 * 2 ** 20 },
  { measure: 'descriptors', part: 0.1, atLeast: 3 },
  { measure: 'handles', part: 0.1, atLeast: 3 },
  { measure: 'resources', part: 0.1, atLeast: 3 },
];

describe(`an operator with work and trouble for ${seconds} seconds`, () => {
  let stack: Stack;
  let soak: Soak;
  before(async () => {
    stack = await connectStack();
    soak = await Soak.create(stack, {
      seconds,
      images: 30,
      changeMs: 700,
      faultMs: 2500,
      rotationMs: 30_000,
      tokenLifeMs: 20_000,
      watchPeriod: 3,
      sampleMs: 5000,
      patienceMs: 180_000,
      random: randomOf(20261128),
    });
  });
  after(async () => {
    await soak?.[Symbol.asyncDispose]();
    await stack.stop();
  });

  test('an operator under load applies every change, stays alive and does not grow', async (context) => {
    const { trends, ...verdict } = await soak.run();
    context.diagnostic(JSON.stringify(verdict));
    for (const [measure, { median, growth }] of Object.entries(trends))
      context.diagnostic(`${measure}: median ${median.toPrecision(4)}, growth ${growth.toPrecision(3)}`);
    const grown = bounds.filter(({ measure, part, atLeast }) => {
      const { median, growth } = trends[measure];
      return growth > Math.max(atLeast, part * median);
    });
    assert.deepEqual(grown, []);
    assert.ok(trends.lag.median < 1, 'the event loop is late');
    assert.ok(verdict.missed > 0, 'changes found by lists instead of the watch are counted');
    await soak.finish();
  });
});
