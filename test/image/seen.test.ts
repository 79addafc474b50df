/** With what the steps of a reconcile begin: what Glance and the API server hold, and what the steps are performed with. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { finalizer } from '../../src/api/group.ts';
import type { Image } from '../../src/glance/image.ts';
import { imageIDOf } from '../../src/image/model/identity.ts';
import { asOperation, type Memory } from '../../src/image/model/memory.ts';
import type { Observed } from '../../src/image/model/revisions.ts';
import { performContext } from '../../src/image/reconcile/perform-context.ts';
import { seenState } from '../../src/image/reconcile/seen.ts';
import type { Confirmation } from '../../src/kubernetes/resources.ts';
import { passOf, place } from './contexts.ts';
import { imageOf, type ResourceOptions, uid } from './resource.ts';
import { desiredOf, memoryOf, promotes, stateOf } from './states.ts';
import { performOn, stubGlance } from './stub-glance.ts';

const image = imageOf();
const second = imageOf({ id: imageIDOf(uid, 1), hidden: true });
const finalizers = [finalizer];
const search = ['list', 'list hidden'];
const published: Observed['configMaps'] = new Map();

const rows: readonly {
  what: string;
  held?: readonly Image[];
  memory?: Memory;
  configMaps?: Observed['configMaps'];
  calls: readonly string[];
  /** The images that are seen, by their number. */
  seen: readonly number[];
  changes?: readonly string[];
  doubtMs?: number;
}[] = [
  {
    what: 'the image that the memory names is asked for',
    held: [image],
    memory: promotes(image),
    calls: ['get 0'],
    seen: [0],
  },
  {
    what: 'an image that the memory does not name costs no call',
    held: [image, second],
    memory: promotes(image),
    calls: ['get 0'],
    seen: [0],
  },
  { what: 'all images are searched after the memory was lost', held: [image, second], calls: search, seen: [0, 1] },
  {
    what: 'all images are searched if one of them may not be named',
    held: [image, second],
    memory: promotes(image, { incomplete: true }),
    calls: ['get 0', ...search],
    seen: [0, 1],
  },
  {
    what: 'an image that Glance does not hold any more has vanished',
    held: [second],
    memory: promotes(image),
    calls: ['get 0', ...search],
    seen: [1],
    changes: ['vanished'],
  },
  {
    what: 'an image that may still appear is in doubt',
    memory: promotes(image),
    calls: ['get 0', ...search],
    seen: [],
    changes: ['vanished'],
    doubtMs: 5_000,
  },
  {
    what: 'the ConfigMaps that were read are part of it',
    held: [image],
    memory: promotes(image),
    configMaps: published,
    calls: ['get 0'],
    seen: [0],
  },
];

describe('the beginning of the steps of a reconcile', () => {
  for (const { what, held = [], memory, configMaps, calls, seen, changes = [], doubtMs = 0 } of rows) {
    test(`at the beginning of the steps, ${what}`, async () => {
      const glance = stubGlance(held);
      const status = memory === undefined ? {} : { operation: asOperation(memory) };
      const { pass } = passOf({ glance, resource: { metadata: { finalizers }, status } });
      const look = performOn(glance);
      const doubting = { ...look, recent: { ...look.recent, doubtMs: () => doubtMs } };
      const { state, ...rest } = await seenState(pass, doubting, place, configMaps);
      assert.deepEqual(glance.calls, calls);
      assert.deepEqual(
        state.observed.revisions.map(({ image: { id } }) => [image.id, second.id].indexOf(id)),
        seen,
      );
      assert.deepEqual([rest.changes.map(({ kind }) => kind), rest.doubtMs], [changes, doubtMs]);
      assert.equal(state.observed.configMaps, configMaps);
    });
  }
});

describe('the context of the steps of a reconcile', () => {
  const guards: readonly {
    what: string;
    resource: ResourceOptions;
    isAdded?: boolean;
    isGuarded: boolean;
    asked: number;
  }[] = [
    { what: 'the finalizer is put on a new resource once', resource: {}, isGuarded: true, asked: 1 },
    {
      what: 'the finalizer that is there costs no write',
      resource: { metadata: { finalizers } },
      isGuarded: true,
      asked: 0,
    },
    {
      what: 'nothing is guarded for a resource that is gone',
      resource: {},
      isAdded: false,
      isGuarded: false,
      asked: 2,
    },
  ];
  for (const { what, resource, isAdded = true, isGuarded, asked } of guards) {
    test(`before a step changes something, ${what}`, async () => {
      const { pass, context, cloud } = passOf({ resource });
      let writes = 0;
      const addFinalizer = async () => {
        writes++;
        return isAdded;
      };
      const performing = performContext(pass, undefined, cloud, {
        ...context,
        resources: { ...context.resources, addFinalizer },
      });
      assert.deepEqual([await performing.guard(), await performing.guard(), writes], [isGuarded, isGuarded, asked]);
    });
  }

  const confirmations: readonly {
    what: string;
    resource: ResourceOptions;
    confirmation: Confirmation;
    asked: number;
  }[] = [
    {
      what: 'a resource that got its finalizer in this reconcile is read once, because it may have been edited before',
      resource: {},
      confirmation: 'current',
      asked: 1,
    },
    {
      what: 'a resource that had its finalizer before is read once',
      resource: { metadata: { finalizers } },
      confirmation: 'current',
      asked: 1,
    },
    {
      what: 'a resource that was edited meanwhile is found outdated',
      resource: { metadata: { finalizers } },
      confirmation: 'outdated',
      asked: 2,
    },
    {
      what: 'a resource that the API server does not hold any more is found gone',
      resource: { metadata: { finalizers } },
      confirmation: 'gone',
      asked: 2,
    },
  ];
  for (const { what, resource, confirmation, asked } of confirmations) {
    test(`before a reconcile changes something in Glance, ${what}`, async () => {
      const { pass, context, cloud } = passOf({ resource });
      let reads = 0;
      const confirm = async () => {
        reads++;
        return confirmation;
      };
      const performing = performContext(pass, undefined, cloud, {
        ...context,
        resources: { ...context.resources, confirm },
      });
      assert.deepEqual(
        [await performing.confirm(), await performing.confirm(), reads],
        [confirmation, confirmation, asked],
      );
    });
  }

  test('the stores of a cloud are read only for an image that is declared in all of them', () => {
    for (const allStores of [true, false]) {
      const { pass, context, cloud } = passOf();
      const desired = desiredOf({ spec: { image: allStores ? { allStores } : {} } });
      const { storeNames } = performContext(pass, desired, cloud, context);
      assert.equal(storeNames, allStores ? cloud.storeNames : undefined);
    }
  });

  test('a step that records what must not be forgotten writes the memory into the status', async () => {
    const { pass, context, cloud, reached } = passOf();
    const performing = performContext(pass, undefined, cloud, context);
    const memory = memoryOf({ next: 3 });
    assert.equal(await performing.record({ ...stateOf([], memory) }), 'written');
    assert.deepEqual(
      reached.statuses.map(({ operation }) => operation?.['next']),
      [3],
    );
  });
});
