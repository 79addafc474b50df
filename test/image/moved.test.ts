/**
 * What an object brings along that was moved, restored or copied: its identity, and its memory.
 *
 * Invariant: neither makes an image of another resource, or of another cluster, its own.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { identityAnnotation } from '../../src/api/group.ts';
import { clusterProperty, identityOf, markOf } from '../../src/image/model/identity.ts';
import { asOperation, blankMemory, memoryVersion, recall, withImage } from '../../src/image/model/memory.ts';
import { type Ownership, ownershipOf } from '../../src/image/model/ownership.ts';
import { claimOf } from '../../src/image/observe/observe.ts';
import { identity, imageOf, projectID, resourceOf, uid } from './resource.ts';

const newUID = '11111111-1111-4111-8111-111111111111';
const annotations = { [identityAnnotation]: identity.value };

/** Of the image of `identity`, for an object of `metadata`. */
function ownership(
  metadata: Record<string, unknown>,
  cluster = identity.cluster,
  inheritFrom: string[] = [],
): Ownership {
  const mine = identityOf(resourceOf({ metadata: { uid: newUID, ...metadata } }), cluster);
  return ownershipOf(imageOf(), claimOf({ ...mine, inheritFrom, projects: [projectID] }, blankMemory(newUID)));
}

describe('an object with the identity of another one', () => {
  test('an object that was restored with its identity takes its image over', () => {
    assert.deepEqual(ownership({ annotations }), { kind: 'created', number: 0, isMarked: true });
  });

  test('an object that was restored without its identity does not own the image of the one before', () => {
    assert.deepEqual(ownership({}), { kind: 'foreign', why: 'owner' });
  });

  for (const copy of [{ name: 'debian' }, { namespace: 'team-b' }]) {
    test(`an identity that was copied to an object of another ${Object.keys(copy).join()} matches no image`, () => {
      assert.deepEqual(ownership({ annotations, ...copy }), { kind: 'foreign', why: 'owner' });
    });
  }

  test('an object that was moved to another cluster takes its image over only if that cluster inherits', () => {
    assert.deepEqual(ownership({ annotations }, 'target'), { kind: 'foreign', why: 'cluster' });
    assert.deepEqual(ownership({ annotations }, 'target', ['elsewhere']), { kind: 'foreign', why: 'cluster' });
    assert.equal(ownership({ annotations }, 'target', [identity.cluster]).kind, 'created');
  });

  test('a moved image with the mark of its new cluster is foreign to the one before', () => {
    const moved = imageOf({ properties: { ...markOf(identity), [clusterProperty]: 'target' } });
    const memory = withImage(blankMemory(uid), moved.id, true);
    const claim = claimOf({ ...identity, inheritFrom: [], projects: [projectID] }, memory);
    assert.deepEqual(ownershipOf(moved, claim), { kind: 'foreign', why: 'cluster' });
  });
});

describe('the memory of an object', () => {
  const memory = withImage({ ...blankMemory(uid), next: 1 }, imageOf().id, true);

  test('a memory is the same after it was written and read', () => {
    const resource = resourceOf({ status: { operation: asOperation(memory) } });
    assert.deepEqual(recall(resource), { kind: 'memory', memory, isLost: false });
  });

  const useless = [
    { what: 'of another UID', operation: asOperation({ ...memory, uid: newUID }) },
    { what: 'without a version', operation: { ...asOperation(memory), version: undefined } },
    { what: 'with a field of another type', operation: { ...asOperation(memory), images: 'all' } },
    { what: 'with a number that no resource reaches', operation: { ...asOperation(memory), next: 2 ** 53 - 1 } },
    { what: 'that was deleted', operation: undefined },
  ];
  for (const { what, operation } of useless) {
    test(`a memory ${what} counts as lost, and names no image`, () => {
      const resource = resourceOf({ status: operation === undefined ? {} : { operation } });
      assert.deepEqual(recall(resource), { kind: 'memory', memory: blankMemory(uid), isLost: true });
    });
  }

  test('a memory of a later version is not interpreted', () => {
    const operation = { ...asOperation(memory), version: memoryVersion + 1 };
    assert.deepEqual(recall(resourceOf({ status: { operation } })), { kind: 'newer', version: memoryVersion + 1 });
  });
});
