/** What a later version has written or declared: neither interpreted nor overwritten. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findCondition } from '../../src/api/conditions.ts';
import type { GlanceImage } from '../../src/api/glanceimage.ts';
import { finalizer } from '../../src/api/group.ts';
import type { GlanceImageStatus } from '../../src/api/status.ts';
import { memoryVersion } from '../../src/image/model/memory.ts';
import { createReconciler } from '../../src/image/reconcile/reconcile.ts';
import { keyOfObject } from '../../src/kubernetes/resource.ts';
import { contextOf } from './contexts.ts';
import { content, imageOf, resourceOf, uid } from './resource.ts';

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

/** The status after one reconcile. A call to a cloud, a transfer or a change of finalizers fails the test. */
async function statusWithoutCloud(resource: GlanceImage): Promise<GlanceImageStatus | undefined> {
  const written: GlanceImageStatus[] = [];
  const unused = () => assert.fail('a cloud was called');
  const { context } = contextOf();
  const reconcile = createReconciler({
    ...context,
    resources: {
      ...context.resources,
      get: () => resource,
      addFinalizer: unused,
      confirm: async () => 'current',
      removeFinalizer: unused,
      writeStatus: async (_resource, next) => {
        written.push(next);
        return 'written';
      },
    },
    clouds: { open: 0, known: unused, last: unused, destinationOf: () => 'cloud', close: unused, read: unused },
    transfers: { ...context.transfers, start: unused },
    webDownloads: { checkURL: unused, maxVirtualBytes: 1 },
  });
  const { signal } = new AbortController();
  await reconcile(keyOfObject(resource), signal, signal);
  return written[0];
}

for (const { what, spec, metadata, reason } of rows) {
  test(`${what} that a later version has worked on keeps its memory and its image ID, and no cloud is called`, async () => {
    const resource = resourceOf({
      spec: { content, image: { diskFormat: 'raw' }, ...spec },
      status,
      metadata: { generation: 2, finalizers: [finalizer], ...metadata },
    });
    const next = await statusWithoutCloud(resource);
    assert.equal(findCondition(next?.conditions, 'Ready')?.reason, reason);
    assert.deepEqual([next?.operation, next?.imageID], [operation, status.imageID]);
  });
}

test('a field of a later CRD is reported, and no cloud is called', async () => {
  for (const [more, field] of [
    [{ later: 1 }, 'spec.later'],
    [{ image: { diskFormat: 'raw', later: {} } }, 'spec.image.later'],
    [
      { content: { http: { ...content.http, mirrors: [{ url: 'https://a.example.com/a', later: [] }] } } },
      'spec.content.http.mirrors[0].later',
    ],
  ] as const) {
    const resource = resourceOf({
      spec: { content, image: { diskFormat: 'raw' }, ...more },
      metadata: { generation: 2, finalizers: [finalizer] },
    });
    const next = await statusWithoutCloud(resource);
    const ready = findCondition(next?.conditions, 'Ready');
    assert.deepEqual([ready?.status, ready?.reason], ['False', 'NewerOperator']);
    assert.ok(ready?.message.includes(`does not know ${field}:`), ready?.message);
  }
});
