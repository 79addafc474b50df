/** Invariant: part of a lost memory is never taken for all of it, or the images that it does not name are left behind. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { finalizer } from '../../src/api/group.ts';
import { contentOf } from '../../src/image/model/content.ts';
import { imageIDOf } from '../../src/image/model/identity.ts';
import { asOperation, blankMemory, type Memory, recall, withImage, withInUse } from '../../src/image/model/memory.ts';
import { fillPlan, verifyPlan } from '../../src/image/model/transfer.ts';
import { withMembers } from '../../src/image/plan/sharing.ts';
import { declaredBy } from '../../src/image/publishers/resolution.ts';
import { remembered } from '../../src/image/reconcile/follow.ts';
import { begin, isWorkedOn, keptMemory } from '../../src/image/reconcile/pass.ts';
import { keyOf } from '../../src/lib/key.ts';
import { defaultLimits, type TransferPlan } from '../../src/transfer/plan.ts';
import { createVirtualClock } from '../clock.ts';
import { imageOf, resourceOf, uid } from './resource.ts';
import { desiredOf, knows, now, planFor, stateOf } from './states.ts';

const declared = {
  spec: {
    image: { diskFormat: 'raw' },
    content: { http: { url: 'https://example.com/image.raw', digest: `sha256:${'a'.repeat(64)}` } },
  },
};

function transferOf(number: number, planFor: typeof fillPlan): TransferPlan {
  const resource = resourceOf(declared);
  const terms = {
    address: 'https://glance.example.com',
    limits: { ...defaultLimits, maxBytes: 1, maxVirtualBytes: 1 },
  };
  return planFor(resource, imageIDOf(uid, number), contentOf(resource) ?? assert.fail(), terms);
}

function memoryOf(...numbers: number[]): Memory {
  return numbers.reduce((memory, number) => withImage(memory, imageIDOf(uid, number), false), blankMemory(uid));
}

describe('a memory that is lost before a transfer ends', () => {
  const pass = (plan: TransferPlan | undefined, operation?: Record<string, unknown>) => {
    const resource = resourceOf({
      ...declared,
      metadata: { finalizers: [finalizer] },
      status: operation === undefined ? {} : { operation },
    });
    const transfer = plan && { kind: 'failed' as const, plan, error: new Error('cut off') };
    const around = { transfers: { get: () => transfer }, resources: { secretVersions: () => undefined } };
    const context = { ...around, cluster: 'test', clock: createVirtualClock() };
    return begin(keyOf('demo', 'ubuntu'), declaredBy(resource), { kind: 'live' }, context);
  };

  const cases = [
    { what: 'the upload of the first image', transfer: transferOf(0, fillPlan), isLost: false },
    { what: 'the upload of a later image', transfer: transferOf(1, fillPlan), isLost: true },
    { what: 'the verification of the first image', transfer: transferOf(0, verifyPlan), isLost: true },
    { what: 'no transfer', transfer: undefined, isLost: true },
  ];
  for (const { what, transfer, isLost } of cases) {
    test(`a memory that is lost during ${what} is ${isLost ? 'not written in part' : 'known to be complete'}`, () => {
      const lost = pass(transfer);
      assert.equal(isWorkedOn(lost), isLost);
      assert.deepEqual(keptMemory(lost).images, isLost ? [] : [imageIDOf(uid, 0)]);
    });
  }

  test('a memory that is not lost is kept during the upload of a later image', () => {
    const kept = keptMemory(pass(transferOf(1, fillPlan), asOperation(memoryOf(0, 1))));
    assert.deepEqual(kept.images, [imageIDOf(uid, 0), imageIDOf(uid, 1)]);
  });
});

test('a memory of more images in use than fit is read back without the oldest, and is not lost', () => {
  const { metadata, status } = resourceOf(declared);
  const use = { why: 'server 1 uses it', isUnknown: false };
  const numbers = Array.from({ length: 70 }, (_, index) => index);
  const memory = numbers.reduce(
    (next, number) => withInUse(next, imageIDOf(uid, number), use, new Date(0)),
    blankMemory(uid),
  );
  const recalled = recall({ metadata, status: { ...status, operation: asOperation(memory) } });
  assert.ok(recalled.kind === 'memory' && !recalled.isLost);
  assert.equal(recalled.memory.inUse?.at(-1)?.imageID, imageIDOf(uid, 69));
});

const created = { kind: 'created' as const, number: 0, isMarked: true };

/** As many texts of this kind. */
const some = (count: number, kind: string) => Array.from({ length: count }, (_, index) => `${kind}-${index}`);

describe('a memory that outgrows the bounds of its lists', () => {
  const written = (memory: Memory) => {
    const { metadata, status } = resourceOf(declared);
    const recalled = recall({ metadata, status: { ...status, operation: asOperation(memory) } });
    return recalled.kind === 'memory' ? recalled.memory : assert.fail();
  };

  test('a memory of more members than fit keeps those that are declared now', () => {
    const hidden = { number: 0, image: imageOf({ visibility: 'private' }), ownership: created };
    const before = { ...blankMemory(uid), members: some(200, 'earlier') };
    const { members } = written(withMembers(before, some(100, 'declared'), [hidden]));
    assert.deepEqual(
      some(100, 'declared').filter((project) => !members?.includes(project)),
      [],
    );
    assert.equal(members?.length, 256);
  });

  test('a memory of more owner projects than fit keeps the one that is declared now', () => {
    const spec = { image: { owner: 'f'.repeat(32) } };
    const memory = { ...knows([imageOf()]), owners: some(64, 'project') };
    const { steps } = planFor({ spec }, stateOf([imageOf()], memory));
    const [first] = steps;
    const { owners } = written(first?.kind === 'record' ? first.memory : assert.fail());
    assert.deepEqual([owners?.length, owners?.includes('f'.repeat(32))], [64, true]);
  });

  test('a memory of more keys than fit keeps those that are declared now', () => {
    const properties = Object.fromEntries(some(100, 'declared').map((key) => [key, 'x']));
    const image = imageOf({ properties: { ...imageOf().properties, ...properties } });
    const stuck = some(250, 'stuck');
    const unremovable = { keys: stuck, at: now.toISOString() };
    const memory = knows([image], { propertyKeys: stuck, unremovable });
    const desired = desiredOf({ spec: { image: { properties } } });
    const { observed } = stateOf([image], memory);
    const { propertyKeys } = written(remembered(memory, { kind: 'settled', image }, observed, desired, now));
    assert.deepEqual(
      some(100, 'declared').filter((key) => !propertyKeys.includes(key)),
      [],
    );
  });
});
