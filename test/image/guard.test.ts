/** When the finalizer and the identity of a resource are put back, and when a resource is left alone because clusterctl moves it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { finalizer, identityAnnotation } from '../../src/api/group.ts';
import { originalIdentity } from '../../src/image/model/identity.ts';
import { asOperation, memoryVersion } from '../../src/image/model/memory.ts';
import { createStripped, isBeingMoved, isUnguarded, moveAnnotation } from '../../src/image/reconcile/guard.ts';
import { createVirtualClock } from '../clock.ts';
import { key } from './contexts.ts';
import { imageOf, type ResourceOptions, resourceOf, uid } from './resource.ts';
import { knows, promotes } from './states.ts';

const image = imageOf();
const finalizers = [finalizer];
const own = { [identityAnnotation]: originalIdentity(uid) };
const moved = { [identityAnnotation]: 'f'.repeat(32) };
const owning = { operation: asOperation(promotes(image)) };
const deletionTimestamp = '2026-01-01T00:00:00Z';

const rows: readonly { what: string; resource: ResourceOptions; isUnguarded: boolean; isBeingMoved: boolean }[] = [
  { what: 'that is new', resource: {}, isUnguarded: false, isBeingMoved: false },
  {
    what: 'with its finalizer and its identity',
    resource: { metadata: { finalizers, annotations: own }, status: owning },
    isUnguarded: false,
    isBeingMoved: false,
  },
  {
    what: 'with an image, and without its finalizer',
    resource: { metadata: { annotations: moved }, status: owning },
    isUnguarded: true,
    isBeingMoved: false,
  },
  {
    what: 'with an image, and without its identity',
    resource: { metadata: { finalizers }, status: owning },
    isUnguarded: true,
    isBeingMoved: false,
  },
  {
    what: 'with its own identity, and without its finalizer and its status',
    resource: { metadata: { annotations: own } },
    isUnguarded: true,
    isBeingMoved: false,
  },
  {
    what: 'with the identity of another object, and without its finalizer and its status',
    resource: { metadata: { annotations: moved } },
    isUnguarded: false,
    isBeingMoved: false,
  },
  {
    what: 'with an image that is not taken over yet',
    resource: {
      spec: { import: { id: image.id }, deletionPolicy: 'Retain' },
      status: { operation: asOperation(knows([image])) },
    },
    isUnguarded: false,
    isBeingMoved: false,
  },
  {
    what: 'with an image that was taken over',
    resource: {
      spec: { import: { id: image.id }, deletionPolicy: 'Retain' },
      status: { operation: asOperation(knows([image], { adopted: image.id })) },
    },
    isUnguarded: true,
    isBeingMoved: false,
  },
  {
    what: 'with an image, and with a deletion',
    resource: { metadata: { deletionTimestamp }, status: owning },
    isUnguarded: false,
    isBeingMoved: false,
  },
  {
    what: 'with a memory of a later version',
    resource: { status: { operation: { version: memoryVersion + 1, uid } } },
    isUnguarded: false,
    isBeingMoved: false,
  },
  {
    what: 'that clusterctl moves',
    resource: { metadata: { annotations: { [moveAnnotation]: '' } }, status: owning },
    isUnguarded: true,
    isBeingMoved: true,
  },
  {
    what: 'that clusterctl moves, and that has its finalizer still',
    resource: { metadata: { finalizers, annotations: { [moveAnnotation]: '' } }, status: owning },
    isUnguarded: true,
    isBeingMoved: false,
  },
  {
    what: 'that only observes, and that clusterctl moves',
    resource: {
      spec: { managementPolicy: 'Observe', import: { id: image.id } },
      metadata: { annotations: { [moveAnnotation]: '' } },
    },
    isUnguarded: false,
    isBeingMoved: false,
  },
];

for (const row of rows) {
  const what = `a resource ${row.what}`;
  test(`${what} ${row.isUnguarded ? 'lacks what guards its images' : 'needs nothing to be put back'}`, () => {
    assert.equal(isUnguarded(resourceOf(row.resource)), row.isUnguarded);
  });
  test(`${what} ${row.isBeingMoved ? 'is left alone' : 'is not left alone because of a move'}`, () => {
    assert.equal(isBeingMoved(resourceOf(row.resource)), row.isBeingMoved);
  });
}

describe('a finalizer that was removed', () => {
  const bare = resourceOf({ status: owning });
  const guarded = resourceOf({ metadata: { finalizers, annotations: moved }, status: owning });
  const again = resourceOf({
    status: owning,
    metadata: {
      uid: 'c0ffee00-1234-4234-8234-000000000000',
      annotations: {
        [identityAnnotation]: originalIdentity('c0ffee00-1234-4234-8234-000000000000'),
      },
    },
  });
  const waits: readonly { what: string; wait: (stripped: ReturnType<typeof createStripped>) => number; ms: number }[] =
    [
      { what: 'is waited for a minute', wait: (stripped) => stripped.waitMs(key, bare), ms: 30_000 },
      { what: 'costs no wait once it is back', wait: (stripped) => stripped.waitMs(key, guarded), ms: 0 },
      {
        what: 'is waited for a minute each time',
        wait: (stripped) => {
          stripped.waitMs(key, guarded);
          return stripped.waitMs(key, bare);
        },
        ms: 60_000,
      },
      {
        what: 'of a later object is waited for on its own',
        wait: (stripped) => stripped.waitMs(key, again),
        ms: 60_000,
      },
      {
        what: 'of a resource that was forgotten is waited for a minute again',
        wait: (stripped) => {
          stripped.forget(key);
          return stripped.waitMs(key, bare);
        },
        ms: 60_000,
      },
    ];
  for (const { what, wait, ms } of waits) {
    test(`a finalizer that was removed half a minute ago ${what}`, async () => {
      const clock = createVirtualClock();
      const stripped = createStripped(clock);
      assert.equal(stripped.waitMs(key, bare), 60_000);
      await clock.advance(30_000);
      assert.equal(wait(stripped), ms);
    });
  }
});
