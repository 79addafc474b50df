/** When the digest that a publisher provided has to be found on the images, because the status was lost. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { finalizer } from '../../src/api/group.ts';
import { asOperation, blankMemory } from '../../src/image/model/memory.ts';
import { begin } from '../../src/image/reconcile/pass.ts';
import { isUnpinned } from '../../src/image/reconcile/recover.ts';
import { createVirtualClock } from '../clock.ts';
import { digest, resourceOf, uid } from './resource.ts';

function passOf(status: Record<string, unknown>) {
  const resource = resourceOf({ metadata: { finalizers: [finalizer] }, status });
  const source = { digest, resolvedAt: '2026-01-01T00:00:00Z', declaration: 'x' };
  const pinning = {
    kind: 'pinned' as const,
    url: 'https://example.com/SHA256SUMS',
    source,
    resource,
    declared: resource,
  };
  const around = { transfers: { get: () => undefined }, resources: { secretVersions: () => undefined } };
  return begin('demo/ubuntu', pinning, { kind: 'live' }, { ...around, cluster: 'test', clock: createVirtualClock() });
}

test('the digest of a publisher is looked for on the images after the status was lost', () => {
  assert.equal(isUnpinned(passOf({})), true);
});

test('the image of an earlier declaration does not provide the digest that a list is declared for now', () => {
  const promoted = '4beb43e2-a2cb-5e56-986a-6962fe5cfdbb';
  const memory = {
    ...blankMemory(uid),
    next: 1,
    images: [promoted],
    published: [promoted],
    promoted,
    incomplete: true as const,
  };
  assert.equal(isUnpinned(passOf({ imageID: promoted, operation: asOperation(memory) })), false);
});
