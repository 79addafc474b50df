/** The creation of an image, performed alone: exactly once, whatever its response is. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Conflict, NotAuthorized } from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import { clusterProperty, imageIDOf, markOf, ownerProperty } from '../../src/image/model/identity.ts';
import type { PlanStep } from '../../src/image/model/step.ts';
import { type PerformContext, perform } from '../../src/image/perform/perform.ts';
import { codeOf, table } from './performing.ts';
import { identity, imageOf, projectID, uid } from './resource.ts';
import { stateOf } from './states.ts';
import { fail, performOn, stubGlance } from './stub-glance.ts';

const image = imageOf();
const { id } = image;
const second = imageIDOf(uid, 1);
const known = imageIDOf(uid, 2);
const queued = imageOf({ status: 'queued', size: null, checksum: null, hash: null });
const conflict = new Conflict('409', { httpStatus: 409 });
const denied = new NotAuthorized('403 Forbidden', { httpStatus: 403 });
const reserved = (key: string) => new NotAuthorized(`Attribute '${key}' is reserved.`, { httpStatus: 403 });

describe('the creation of an image', () => {
  const properties = markOf(identity);
  const wanted = { name: 'ubuntu', owner: projectID, visibility: 'private', properties };
  const step: PlanStep = { kind: 'create', imageID: id, number: 0, image: wanted, keys: ['os_distro'] };
  const start = stateOf([]);
  const other = imageOf({ id: second });
  table(step, [
    {
      what: 'a new image is known, its number is used up, and its keys are remembered',
      held: [],
      state: start,
      kind: 'done',
      calls: ['create 0'],
      memory: { next: 1, images: [id], published: [], propertyKeys: ['os_distro'] },
      revisions: [{ number: 0, ownership: { kind: 'created', isMarked: true } }],
      changes: [{ kind: 'created', id }],
    },
    {
      what: 'an ID that is used by our image, whose response was lost, is taken',
      held: [queued],
      state: start,
      faults: { create: fail(conflict) },
      kind: 'changed',
      calls: ['create 0', 'get 0'],
      memory: { next: 1, images: [id], published: [] },
      revisions: [{ image: { status: 'queued' } }],
    },
    {
      what: 'an ID that is used by our image with data is taken as one that consumers may know',
      state: start,
      faults: { create: fail(conflict) },
      kind: 'changed',
      calls: ['create 0', 'get 0'],
      memory: { next: 1, images: [id], published: [id] },
      revisions: [{ image: { status: 'active' } }],
    },
    {
      what: 'an ID that is used up is skipped after a search by the mark',
      held: [],
      state: start,
      faults: { create: fail(conflict) },
      kind: 'changed',
      calls: ['create 0', 'get 0', 'list', 'list hidden'],
      memory: { next: 1, images: [] },
      revisions: [],
    },
    {
      what: 'the search for a used ID finds an image that was forgotten',
      held: [other],
      state: start,
      faults: { create: fail(conflict) },
      kind: 'changed',
      calls: ['create 0', 'get 0', 'list', 'list hidden'],
      memory: { next: 2, images: [second] },
      revisions: [{ number: 1 }],
    },
    {
      what: 'an ID that another owner uses is skipped',
      held: [imageOf({ properties: { [ownerProperty]: 'demo/debian/0' } })],
      state: { ...start, observed: { ...start.observed, listed: true } },
      faults: { create: fail(conflict) },
      kind: 'changed',
      calls: ['create 0', 'get 0'],
      memory: { next: 1, images: [] },
      revisions: [],
    },
    {
      what: 'an ID that an image of ours with the mark of another cluster uses is not skipped, and the image is shown as foreign',
      held: [imageOf({ properties: { ...imageOf().properties, [clusterProperty]: 'elsewhere' } })],
      state: { ...start, observed: { ...start.observed, listed: true } },
      faults: { create: fail(conflict) },
      kind: 'changed',
      calls: ['create 0', 'get 0'],
      memory: { next: 0, images: [], incomplete: true },
      revisions: [{ ownership: { kind: 'foreign', why: 'cluster' } }],
    },
    {
      what: 'an ID that an image of another project uses is skipped, whatever its mark is',
      held: [imageOf({ owner: 'b'.repeat(32) })],
      state: { ...start, observed: { ...start.observed, listed: true } },
      faults: { create: fail(conflict) },
      kind: 'changed',
      calls: ['create 0', 'get 0'],
      memory: { next: 1, images: [] },
      revisions: [],
    },
    {
      what: 'a property protection that rejects a mark is named',
      held: [],
      state: start,
      faults: { create: fail(reserved(ownerProperty)) },
      kind: 'failed',
      code: 'PropertyProtected',
      calls: ['create 0'],
      memory: { next: 0, images: [] },
    },
    {
      what: 'any other rejection is a failure, and no ID is used up',
      held: [],
      state: start,
      faults: { create: fail(denied) },
      kind: 'failed',
      code: 'Forbidden',
      calls: ['create 0'],
      memory: { next: 0, images: [] },
    },
    {
      what: 'a resource that is gone creates nothing',
      held: [],
      state: start,
      context: { confirm: async () => 'gone' as const },
      kind: 'gone',
      calls: [],
    },
  ]);

  test('create: a mark that the cloud hides is a failure, and the image is not forgotten', async () => {
    const glance = stubGlance();
    const create: PerformContext['images']['create'] = async (imageID, given, signal) => {
      const made = await glance.images.create(imageID, given, signal);
      return { ...made, properties: {} };
    };
    const performed = await perform(step, start, performOn(glance, { images: { ...glance.images, create } }));
    assert.equal(codeOf(performed), 'PropertyProtected');
    assert.partialDeepStrictEqual(performed, { state: { memory: { images: [id], next: 1 } } });
  });

  test('create: an image with another ID than requested is deleted', async () => {
    const made = { ...queued, id: second };
    const glance = stubGlance([made]);
    const images = { ...glance.images, create: async () => made };
    const performed = await perform(step, start, performOn(glance, { images }));
    assert.equal(codeOf(performed), 'InvalidRequest');
    assert.deepEqual([glance.calls, glance.held.size], [['remove 1'], 0]);
  });

  const others: readonly (readonly [what: string, Image])[] = [
    ['has data', other],
    ['bears the mark of another owner', { ...queued, id: second, properties: {} }],
    ['belongs to another project', { ...queued, id: second, owner: 'b'.repeat(32) }],
    ['is known', { ...queued, id: known }],
  ];
  for (const [what, response] of others)
    test(`create: an image in the response that was not requested and ${what} is left alone`, async () => {
      const glance = stubGlance([response]);
      const images = { ...glance.images, create: async () => response };
      const before = stateOf([imageOf({ id: known })]);
      const performed = await perform(step, before, performOn(glance, { images }));
      assert.equal(codeOf(performed), 'InvalidRequest');
      assert.deepEqual([glance.calls, glance.held.size], [[], 1]);
    });
});
