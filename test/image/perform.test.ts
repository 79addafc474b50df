/** Each kind of step, performed alone against a Glance in memory: the calls, and what is known afterwards. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Conflict, ImageNotFound, NotAuthorized } from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import type { StatusOutcome } from '../../src/image/access/resources.ts';
import { clusterProperty, contentProperty, imageIDOf, markOf, ownerProperty } from '../../src/image/model/identity.ts';
import type { PlanStep } from '../../src/image/model/step.ts';
import { perform } from '../../src/image/perform/perform.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { table } from './performing.ts';
import { identity, imageOf } from './resource.ts';
import { before, knows, memoryOf, now, promotes, stateOf } from './states.ts';
import { fail, performOn, stubGlance } from './stub-glance.ts';

const image = imageOf();
const { id } = image;
const queued = imageOf({ status: 'queued', size: null, checksum: null, hash: null });
const conflict = new Conflict('409', { httpStatus: 409 });
const missing = new ImageNotFound('404', { httpStatus: 404 });
const denied = new NotAuthorized('403 Forbidden', { httpStatus: 403 });
const reserved = (key: string) => new NotAuthorized(`Attribute '${key}' is reserved.`, { httpStatus: 403 });

describe('the change of an image', () => {
  const odd = imageOf({ properties: { ...markOf(identity), 'a/b~c': 'x' } });
  const step: PlanStep = {
    kind: 'patch',
    image: odd,
    keys: [],
    operations: [
      { op: 'replace', path: '/name', value: 'debian' },
      { op: 'remove', path: '/a~1b~0c' },
    ],
  };
  const state = stateOf([odd]);
  const base = { held: [odd], state, calls: ['patch 0 /name /a~1b~0c'] };
  table(step, [
    {
      ...base,
      what: 'the image is known as Glance returns it',
      kind: 'done',
      revisions: [{ image: { name: 'debian', properties: markOf(identity) } }],
      changes: [{ kind: 'updated', what: ['name', 'a/b~c'] }],
    },
    {
      ...base,
      what: 'an image that is gone is forgotten',
      faults: { patch: fail(missing) },
      kind: 'changed',
      memory: { images: [], next: 1 },
      revisions: [],
      changes: [{ kind: 'vanished', id }],
    },
    {
      ...base,
      what: 'an image that has changed meanwhile is read again',
      held: [imageOf({ name: 'changed' })],
      faults: { patch: fail(conflict) },
      kind: 'changed',
      calls: ['patch 0 /name /a~1b~0c', 'get 0'],
      revisions: [{ image: { name: 'changed' } }],
    },
    {
      ...base,
      what: 'a property that the cloud does not let us remove is left alone, whatever its name is',
      faults: { patch: fail(reserved('a/b~c')) },
      kind: 'changed',
      memory: { unremovable: { keys: ['a/b~c'], at: now.toISOString() } },
      revisions: [{ image: { name: 'ubuntu' } }],
    },
    {
      ...base,
      what: 'a rejected change is a failure that leaves what is known',
      faults: { patch: fail(denied) },
      kind: 'failed',
      code: 'Forbidden',
      revisions: [{ image: { name: 'ubuntu' } }],
    },
    {
      ...base,
      what: 'a protection of a property that was not to be removed is a failure',
      faults: { patch: fail(reserved('hw_rule')) },
      kind: 'failed',
      code: 'Forbidden',
    },
  ]);

  const bare = imageOf({ properties: {} });
  const restore: PlanStep = {
    kind: 'patch',
    image: bare,
    keys: [],
    operations: [{ op: 'add', path: `/${ownerProperty}`, value: identity.owner }],
  };
  table(restore, [
    {
      what: 'an owner mark that is restored is counted',
      held: [bare],
      state: stateOf([bare]),
      kind: 'done',
      calls: [`patch 0 /${ownerProperty}`],
      memory: { marks: { restored: 1, at: now.toISOString() } },
      revisions: [{ ownership: { isMarked: true } }],
      changes: [{ kind: 'updated', what: [ownerProperty] }],
    },
    {
      what: 'the count goes on within an hour of the first time',
      held: [bare],
      state: stateOf([bare], knows([bare], { marks: { restored: 2, at: before(60_000) } })),
      kind: 'done',
      calls: [`patch 0 /${ownerProperty}`],
      memory: { marks: { restored: 3, at: before(60_000) } },
      changes: [{ kind: 'updated', what: [ownerProperty] }],
    },
    {
      what: 'a protection of a mark is named',
      held: [bare],
      state: stateOf([bare]),
      faults: { patch: fail(reserved(ownerProperty)) },
      kind: 'failed',
      code: 'PropertyProtected',
      calls: [`patch 0 /${ownerProperty}`],
    },
  ]);
});

describe('an import', () => {
  const request = { method: { name: 'web-download' as const, uri: 'https://example.com/image.raw' } };
  const step: PlanStep = { kind: 'import', image: queued, request };
  const state = stateOf([queued]);
  const memory = { import: { imageID: id, kind: 'fetch', at: now.toISOString() } };
  const lock = { os_glance_import_task: 'accepted' };
  table(step, [
    {
      what: 'it is remembered, and the image is read again',
      held: [queued],
      state,
      kind: 'changed',
      calls: ['import 0 web-download', 'get 0'],
      memory,
      revisions: [{ image: { properties: lock } }],
    },
    {
      what: 'an import that runs already is ours, and its response was lost',
      held: [{ ...queued, properties: { ...queued.properties, ...lock } }],
      state,
      faults: { import: fail(conflict) },
      kind: 'changed',
      calls: ['import 0 web-download', 'get 0'],
      memory,
    },
    {
      what: 'an image that is gone is forgotten',
      held: [],
      state,
      faults: { import: fail(missing) },
      kind: 'changed',
      calls: ['import 0 web-download'],
      memory: { images: [] },
      revisions: [],
      changes: [{ kind: 'vanished', id }],
    },
    {
      what: 'a rejected import is a failure',
      held: [queued],
      state,
      faults: { import: fail(denied) },
      kind: 'failed',
      code: 'Forbidden',
      calls: ['import 0 web-download'],
    },
    {
      what: 'nothing is imported from a host that the egress policy blocks',
      held: [queued],
      state,
      context: {
        webDownloads: {
          maxVirtualBytes: 1,
          checkURL: () => Promise.reject(new OperatorError('blocked', { code: 'EgressRefused' })),
        },
      },
      kind: 'failed',
      code: 'EgressRefused',
      calls: [],
    },
  ]);

  const stored = imageOf({ stores: ['a', 'b'] });
  table({ kind: 'removeFromStore', image: stored, store: 'b' }, [
    {
      what: 'the image is read again',
      held: [stored],
      state: stateOf([stored]),
      kind: 'changed',
      calls: ['remove 0 from b', 'get 0'],
      revisions: [{ image: { stores: ['a'] } }],
      changes: [{ kind: 'updated', what: ['stores (b removed)'] }],
    },
  ]);
});

describe('the deletion of an image', () => {
  const shielded = imageOf({ protected: true });
  const changes = [{ kind: 'replaced', id, why: 'it is wrong' }];
  const gone = { kind: 'done' as const, memory: { images: [], next: 1 }, revisions: [], changes };
  const step = (of: Image): PlanStep => ({ kind: 'delete', image: of, why: 'it is wrong' });
  table(step(image), [
    { ...gone, what: 'the image is forgotten, and its number stays used up', calls: ['remove 0'] },
    { ...gone, what: 'an image that is gone already counts as deleted', held: [], calls: ['remove 0'] },
    {
      what: 'an image that consumers know and use stays, and that is remembered',
      state: stateOf([image], promotes(image)),
      faults: { remove: fail(conflict) },
      kind: 'changed',
      calls: ['remove 0'],
      memory: { images: [id], inUse: [{ imageID: id, at: now.toISOString() }] },
    },
    {
      what: 'a conflict on an image that no consumer is known to use means that it is in use',
      faults: { remove: fail(conflict) },
      kind: 'changed',
      calls: ['remove 0'],
      memory: { images: [id], published: [id], inUse: [{ imageID: id, at: now.toISOString() }] },
    },
    {
      what: 'a rejected deletion is a failure',
      faults: { remove: fail(denied) },
      kind: 'failed',
      code: 'Forbidden',
      calls: ['remove 0', 'get 0'],
    },
    {
      what: 'an image that is protected meanwhile is planned for again',
      held: [shielded],
      faults: { remove: fail(denied) },
      kind: 'changed',
      calls: ['remove 0', 'get 0'],
      revisions: [{ image: { protected: true } }],
    },
  ]);
  table({ kind: 'delete', image, why: 'its resource was deleted', mustGo: true }, [
    {
      what: 'a conflict is a failure where the image must go',
      faults: { remove: fail(conflict) },
      kind: 'failed',
      code: 'Conflict',
      calls: ['remove 0'],
    },
  ]);
  table(step(shielded), [
    {
      ...gone,
      what: 'a protected image of ours is unprotected first',
      held: [shielded],
      state: stateOf([shielded]),
      calls: ['patch 0 /protected', 'remove 0'],
    },
  ]);
});

describe('the record of a memory', () => {
  const memory = { ...promotes(image), propertyKeys: ['os_distro'] };
  const record = (result: StatusOutcome) => ({ record: async () => result });
  table({ kind: 'record', memory }, [
    { what: 'it counts once it is written', context: record('written'), kind: 'done', calls: [], memory },
    { what: 'a resource that is gone ends the reconcile', context: record('gone'), kind: 'gone', calls: [] },
    { what: 'another status ends the reconcile', context: record('outdated'), kind: 'outdated', calls: [] },
    {
      what: 'a memory that the API server rejects is not remembered, and no step follows',
      context: record('rejected'),
      kind: 'failed',
      code: 'KubernetesRejected',
      calls: [],
      memory: { propertyKeys: [] },
    },
    {
      what: 'a failure leaves the memory as it was',
      context: { record: () => Promise.reject(new OperatorError('500', { code: 'KubernetesFailed' })) },
      kind: 'failed',
      code: 'KubernetesFailed',
      calls: [],
      memory: { propertyKeys: [] },
    },
  ]);
});

describe('the gate in front of Glance', () => {
  const foreign: [what: string, image: Image, recorded: boolean][] = [
    ['another project', imageOf({ owner: 'b'.repeat(32) }), true],
    ['another owner', imageOf({ properties: { ...markOf(identity), [ownerProperty]: 'x' } }), true],
    ['another cluster', imageOf({ properties: { ...markOf(identity), [clusterProperty]: 'x' } }), true],
    ['no mark, and it is not recorded', imageOf({ properties: { [contentProperty]: 'v1' } }), false],
    ['an ID of another uid', imageOf({ id: imageIDOf('11111111-1111-4111-8111-111111111111', 0) }), false],
  ];
  for (const [what, one, isRecorded] of foreign) {
    test(`no step reaches an image of ${what}`, async () => {
      const state = stateOf([one], isRecorded ? knows([one]) : memoryOf());
      const steps: PlanStep[] = [
        { kind: 'patch', image: one, operations: [{ op: 'replace', path: '/name', value: 'x' }], keys: [] },
        { kind: 'delete', image: one, why: '' },
        { kind: 'import', image: one, request: { method: { name: 'copy-image' } } },
        { kind: 'removeFromStore', image: one, store: 'a' },
      ];
      for (const step of steps) {
        const glance = stubGlance([one]);
        await assert.rejects(perform(step, state, performOn(glance)), /is foreign/);
        assert.deepEqual(glance.calls, []);
      }
    });
  }
});
