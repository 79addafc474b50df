import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { connectStack, type Stack } from '../env/stack.ts';
import { randomOf, Soak } from './soak.ts';
import { slopeOf, trendOf } from './soak-trend.ts';

describe('the measure of growth', () => {
  const line = (slope: number, noise: (at: number) => number) =>
    Array.from({ length: 120 }, (_, at) => ({ at, value: 100 + slope * at + noise(at) }));

  test('the measure of growth finds the slope of a line although a quarter of the samples is arbitrary', () => {
    fc.assert(
      fc.property(
        fc.double({ min: -5, max: 5, noNaN: true }),
        fc.infiniteStream(fc.double({ noNaN: true })),
        (slope, odd) => {
          const points = line(slope, () => 0).map((point, at) =>
            at % 4 === 0 ? { ...point, value: odd.next().value } : point,
          );
          assert.ok(Math.abs(slopeOf(points) - slope) < 1e-6);
        },
      ),
      { seed: 3, numRuns: 50 },
    );
  });

  test('the measure of growth ignores the sawtooth of a garbage collector and finds growth beneath it', () => {
    const saw = (at: number) => (at % 9) * 4;
    assert.ok(Math.abs(trendOf(line(0, saw)).growth) < 5);
    assert.ok(trendOf(line(0.5, saw)).growth > 35);
  });

  test('the measure of growth ignores the memory of the warm-up', () => {
    const warming = (at: number) => Math.min(at, 39) * 10;
    assert.equal(Math.round(trendOf(line(0, warming)).growth), 0);
  });
});

/** The short form, which is over before anything can grow. `npm run campaign` takes half an hour. */
describe('an operator with work and trouble without an end', () => {
  let stack: Stack;
  let soak: Soak;
  before(async () => {
    stack = await connectStack();
    soak = await Soak.create(stack, {
      seconds: 18,
      images: 8,
      changeMs: 250,
      faultMs: 1000,
      rotationMs: 6000,
      tokenLifeMs: 5000,
      watchPeriod: 2,
      sampleMs: 1000,
      patienceMs: 120_000,
      random: randomOf(20261128),
    });
  });
  after(async () => {
    await soak?.[Symbol.asyncDispose]();
    await stack.stop();
  });

  test('an operator under load applies every change, stays alive and leaves nothing behind', async (context) => {
    const { trends, ...verdict } = await soak.run();
    context.diagnostic(JSON.stringify(verdict));
    const { created, edited, deleted } = verdict.counts;
    assert.ok(created > 8 && edited > 0 && deleted > 0);
    assert.ok(trends.descriptors.median < 100, 'descriptors');
    await soak.finish();
  });
});
