import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findCondition } from '../../src/api/conditions.ts';
import type { GlanceImage } from '../../src/api/glanceimage.ts';
import { finalizer, identityAnnotation, reconcileAtAnnotation } from '../../src/api/group.ts';
import type { GlanceImageStatus } from '../../src/api/status.ts';
import { createBackoff } from '../../src/controller/backoff.ts';
import { createQueue } from '../../src/controller/queue.ts';
import { createWorkers } from '../../src/controller/workers.ts';
import type { Clouds } from '../../src/image/access/clouds.ts';
import type { Resources } from '../../src/image/access/resources.ts';
import { asOperation } from '../../src/image/model/memory.ts';
import { createMemberReadings } from '../../src/image/observe/member-readings.ts';
import { createDrift } from '../../src/image/reconcile/drift.ts';
import { createStripped } from '../../src/image/reconcile/guard.ts';
import { createReconciler } from '../../src/image/reconcile/reconcile.ts';
import { keyOfObject } from '../../src/kubernetes/resource.ts';
import { abortable } from '../../src/lib/abort.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { createVirtualClock } from '../clock.ts';
import { contextOf } from './contexts.ts';
import { identity, imageOf, resourceOf } from './resource.ts';
import { promotes } from './states.ts';

/** A controller with its reconciler, and a cloud that accepts every request and never responds. */
function setup(before: GlanceImage) {
  const clock = createVirtualClock();
  const random = () => 0.5;
  const key = keyOfObject(before);
  const told = { statuses: [] as GlanceImageStatus[], events: [] as string[], results: [] as string[], opened: 0 };
  let resource = before;
  const { context } = contextOf();
  const resources: Resources = {
    ...context.resources,
    get: () => resource,
    async writeStatus(of, status, signal) {
      signal.throwIfAborted();
      told.statuses.push(status);
      resource = { ...of, status };
      return 'written';
    },
    event: (_resource, type, reason) => void told.events.push(`${type} ${reason}`),
  };
  const clouds: Clouds = {
    ...context.clouds,
    destinationOf: () => 'cloud',
    read: async () => ({
      version: '1',
      open(signal) {
        told.opened++;
        return abortable(new Promise<never>(() => {}), signal);
      },
    }),
  };
  const queue = createQueue({ clock, workers: 1 });
  const drift = createDrift({ resources, wake: queue.add, clock, random });
  const workers = createWorkers({
    controller: 'glanceimage',
    count: 1,
    queue,
    backoff: createBackoff(random),
    reconcile: createReconciler({
      ...context,
      resources,
      clouds,
      drift,
      stripped: createStripped(clock),
      transfers: { ...context.transfers, start: () => assert.fail('nothing is to be transferred') },
      memberReadings: createMemberReadings(clock),
      clock,
      random,
    }),
    clock,
    log: silentLogger,
    observer: {
      started: () => {},
      ended: (result) => told.results.push(result),
      timedOut: () => told.results.push('timeout'),
      panicked: () => told.results.push('panic'),
    },
  });
  const stop = new AbortController();
  const halt = new AbortController();
  const ended = workers.run(stop.signal, halt.signal);
  queue.add(key);
  return { clock, told, stop, halt, ended };
}

test('a reconcile over its deadline is cancelled, counted and reported with the time of the next attempt', async () => {
  const { clock, told, stop, ended } = setup(resourceOf());
  await clock.advance(119_000);
  assert.deepEqual([told.statuses.length, told.results], [0, []]);
  await clock.advance(1000);
  assert.deepEqual(told.results, ['timeout', 'requeue_after']);
  assert.deepEqual(told.events, ['Warning TimedOut']);
  const [status] = told.statuses;
  const ready = findCondition(status?.conditions, 'Ready');
  assert.deepEqual([ready?.status, ready?.reason], ['False', 'TimedOut']);
  assert.match(
    ready?.message ?? '',
    /demo\/ubuntu took longer than 120 s and was cancelled: a server .* responds too slowly/,
  );
  assert.match(ready?.message ?? '', /Attempt 1 failed; the operator retries at .*Z$/);
  assert.equal(status?.lastError?.retryable, true);
  await clock.advance(2000);
  assert.equal(told.opened, 2, 'it is tried again');
  stop.abort();
  await clock.advance(200_000);
  await ended;
  assert.deepEqual(told.events, ['Warning TimedOut'], 'a repeated failure emits no second event');
});

test('an exceeded deadline does not make a ready image wrong, and is reported for deletions too', async () => {
  const image = imageOf();
  const condition = { type: 'Ready', status: 'True', reason: 'Ready', message: 'as declared', observedGeneration: 1 };
  const conditions = [{ ...condition, lastTransitionTime: '2026-01-01T00:00:00Z' }];
  const status = { observedGeneration: 1, imageID: image.id, conditions, operation: asOperation(promotes(image)) };
  const metadata = {
    deletionTimestamp: '2026-01-01T00:00:00Z',
    finalizers: [finalizer],
    annotations: { [reconcileAtAnnotation]: 'now', [identityAnnotation]: identity.value },
  };
  const { deletionTimestamp: _, ...alive } = metadata;
  for (const [of, message] of [
    [resourceOf({ status, metadata: alive }), /^the reconcile of demo\/ubuntu took longer/],
    [resourceOf({ status, metadata }), /^cannot delete the image: the reconcile of demo\/ubuntu took longer/],
  ] as const) {
    const { clock, told, stop, ended } = setup(of);
    await clock.advance(120_000);
    const ready = findCondition(told.statuses[0]?.conditions, 'Ready');
    assert.deepEqual([ready?.status, ready?.reason, told.statuses[0]?.imageID], ['Unknown', 'TimedOut', image.id]);
    assert.match(ready?.message ?? '', message);
    stop.abort();
    await clock.advance(200_000);
    await ended;
  }
});

test('a process that has lost the right to act writes no status', async () => {
  const { clock, told, stop, halt, ended } = setup(resourceOf());
  await clock.advance(60_000);
  stop.abort();
  halt.abort(new Error('the lease is lost'));
  await clock.advance(0);
  await ended;
  assert.deepEqual([told.statuses, told.events, told.results], [[], [], ['error']]);
});
