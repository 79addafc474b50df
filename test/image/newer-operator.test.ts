/** A memory of a later version is neither interpreted nor overwritten. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findCondition } from '../../src/api/conditions.ts';
import { finalizer } from '../../src/api/group.ts';
import type { GlanceImageStatus } from '../../src/api/status.ts';
import { memoryVersion } from '../../src/image/model/memory.ts';
import { createMemberReadings } from '../../src/image/observe/member-readings.ts';
import { createReconciler } from '../../src/image/reconcile/reconcile.ts';
import { keyOfObject } from '../../src/kubernetes/resource.ts';
import { executorOf } from '../../src/transfer/executor.ts';
import { defaultLimits } from '../../src/transfer/plan.ts';
import { createScheduler } from '../../src/transfer/scheduler.ts';
import { createVirtualClock } from '../clock.ts';
import { followsNothing } from './following.ts';
import { content, imageOf, resourceOf, uid } from './resource.ts';
import { noConfigMaps } from './stub-glance.ts';

const operation = { version: memoryVersion + 1, uid, revisions: 'of another kind' };
const status = { observedGeneration: 1, imageID: imageOf().id, operation };

const rows = [
  { what: 'a resource', spec: {}, metadata: {}, reason: 'NewerOperator' },
  { what: 'a suspended resource', spec: { suspend: true }, metadata: {}, reason: 'Suspended' },
  {
    what: 'a resource in deletion',
    spec: {},
    metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' },
    reason: 'NewerOperator',
  },
];

for (const { what, spec, metadata, reason } of rows) {
  test(`${what} that a later version has worked on keeps its memory and its image ID, and no cloud is called`, async () => {
    const resource = resourceOf({
      spec: { content, image: { diskFormat: 'raw' }, ...spec },
      status,
      metadata: { generation: 2, finalizers: [finalizer], ...metadata },
    });
    const written: GlanceImageStatus[] = [];
    const clock = createVirtualClock();
    const unused = () => assert.fail('a cloud was called');
    const reconcile = createReconciler({
      resources: {
        get: () => resource,
        ofImage: () => [],
        secretVersions: () => '1',
        cloudVersion: () => '1',
        addFinalizer: unused,
        removeFinalizer: unused,
        isEcho: () => false,
        writeStatus: async (_resource, next) => {
          written.push(next);
          return 'written';
        },
        event: () => {},
      },
      clouds: { open: 0, known: unused, last: unused, destinationOf: () => 'cloud', close: unused, read: unused },
      drift: { next: () => ({ kind: 'live' }), compared: () => 0, hear: () => {}, forget: () => {} },
      stripped: { waitMs: () => 0, forget: () => {} },
      transfers: createScheduler({
        executor: executorOf(unused),
        limits: { total: 1, perNamespace: 1, perCloud: 1, perHost: 1 },
        clock,
        onChange: () => {},
      }),
      limits: defaultLimits,
      memberReadings: createMemberReadings(clock),
      configMaps: { of: () => noConfigMaps },
      webDownloads: { checkURL: unused, maxVirtualBytes: 1 },
      cluster: 'test',
      following: followsNothing,
      inheritFrom: [],
      clock,
      random: () => 0.5,
    });
    const { signal } = new AbortController();
    await reconcile(keyOfObject(resource), signal, signal);
    const [next] = written;
    assert.equal(findCondition(next?.conditions, 'Ready')?.reason, reason);
    assert.deepEqual([next?.operation, next?.imageID], [operation, status.imageID]);
  });
}
