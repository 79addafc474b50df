import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { GlanceImage } from '../../src/api/glanceimage.ts';
import type { Image } from '../../src/glance/image.ts';
import { createDrift } from '../../src/image/reconcile/drift.ts';
import { summarise } from '../../src/image/status/status.ts';
import { createVirtualClock } from '../clock.ts';
import { imageOf, resourceOf } from './resource.ts';
import { moment, reportOf } from './states.ts';

const intervalMs = 600_000;
const key = 'demo/ubuntu';

/** A resource whose status describes this image. */
function settledOn(image: Image, spec: Record<string, unknown> = {}): GlanceImage {
  const report = reportOf(image, { kind: 'converged' }, { secret: { version: '7' } });
  const status = summarise(report, { observedGeneration: -1 }, moment);
  return resourceOf({ spec, status: { ...status } });
}

function setUp(resource = settledOn(imageOf()), random = () => 0.5) {
  const clock = createVirtualClock();
  const woken: string[] = [];
  const drift = createDrift({
    resources: {
      get: () => resource,
      ofImage: (id) => (id === resource.status.imageID ? [key] : []),
      secretVersions: () => '7',
    },
    wake: (name) => woken.push(name),
    clock,
    random,
  });
  return { clock, drift, woken };
}

describe('when a settled resource is compared', () => {
  test('after a restart, each resource is compared at its own time within the interval, with lists read since then', () => {
    assert.deepEqual(setUp(undefined, () => 0.25).drift.next(key, intervalMs), { kind: 'notDue', ms: intervalMs / 4 });
    const { drift } = setUp(undefined, () => 0);
    assert.deepEqual(drift.next(key, intervalMs), { kind: 'fromCache', sinceMs: 0 });
  });

  test('the next comparison lies within the interval for every random value', () => {
    for (const dice of [0, 0.5, 0.999999]) {
      const ms = setUp(undefined, () => dice).drift.compared(key, 0, intervalMs);
      assert.ok(ms <= intervalMs && ms >= 0.9 * intervalMs, `${ms} ms`);
    }
  });

  test('a resource is never compared with data older than its last comparison', async () => {
    const { clock, drift } = setUp();
    await clock.advance(5_000);
    drift.compared(key, 4_000, intervalMs);
    await clock.advance(intervalMs);
    assert.deepEqual(drift.next(key, intervalMs), { kind: 'fromCache', sinceMs: 5_000 });
  });

  test('an interval of 0 disables comparisons', async () => {
    const resource = settledOn(imageOf(), { interval: '0' });
    const { clock, drift, woken } = setUp(resource);
    drift.onChange({ kind: 'seen', image: imageOf({ name: 'other' }) });
    await clock.advance(1e9);
    assert.deepEqual(drift.next(key, 0), { kind: 'notDue', ms: Number.POSITIVE_INFINITY });
    assert.deepEqual(woken, []);
  });

  test('a list that contradicts the status triggers a comparison with Glance itself', () => {
    const { drift, woken } = setUp();
    drift.onChange({ kind: 'seen', image: imageOf() });
    assert.deepEqual(woken, []);
    drift.onChange({ kind: 'seen', image: imageOf({ name: 'other' }) });
    assert.deepEqual(woken, [key]);
    assert.deepEqual(drift.next(key, intervalMs), { kind: 'live' });
  });

  test('a list that lacks the image triggers a comparison with Glance itself', () => {
    const { drift, woken } = setUp();
    drift.onChange({ kind: 'missing', id: imageOf().id });
    assert.deepEqual(woken, [key]);
    assert.deepEqual(drift.next(key, intervalMs), { kind: 'live' });
  });

  test('a change listed after the last read triggers another comparison', async () => {
    const { clock, drift } = setUp();
    const startedMs = clock.monotonic();
    await clock.advance(10);
    drift.onChange({ kind: 'seen', image: imageOf({ name: 'other' }) });
    await clock.advance(10);
    drift.compared(key, startedMs, intervalMs);
    assert.deepEqual(drift.next(key, intervalMs), { kind: 'live' });
    drift.compared(key, clock.monotonic(), intervalMs);
    assert.equal(drift.next(key, intervalMs).kind, 'notDue');
  });

  test('a list triggers no comparison of a suspended resource or of one in progress', () => {
    const image = imageOf({ name: 'other' });
    for (const resource of [settledOn(imageOf(), { suspend: true }), resourceOf({ status: { imageID: image.id } })]) {
      const { drift, woken } = setUp(resource);
      drift.onChange({ kind: 'seen', image });
      assert.deepEqual(woken, []);
    }
  });
});
