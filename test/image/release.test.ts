/** The deletion of a resource: which images are deleted, and when the finalizer may go. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { abandonAnnotation, finalizer } from '../../src/api/group.ts';
import { Conflict } from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import { imageIDOf, markOf, ownerProperty } from '../../src/image/model/identity.ts';
import { asOperation, type Memory } from '../../src/image/model/memory.ts';
import { release } from '../../src/image/reconcile/release.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { type ContextOptions, passOf } from './contexts.ts';
import { identity, imageOf, uid } from './resource.ts';
import { memoryOf, promotes } from './states.ts';
import { type Faults, fail, stubGlance } from './stub-glance.ts';

const image = imageOf();
const second = imageOf({ id: imageIDOf(uid, 1), hidden: true });
const shielded = imageOf({ protected: true });
const theirs = imageOf({ owner: 'b'.repeat(32) });
const squatted = imageOf({ properties: { ...markOf(identity), [ownerProperty]: 'demo/debian/0' } });
const metadata = { deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: [finalizer] };
const search = ['list', 'list hidden'];

interface Row {
  what: string;
  held?: readonly Image[];
  memory?: Memory;
  faults?: Faults;
  spec?: Record<string, unknown>;
  annotations?: Record<string, string>;
  options?: ContextOptions;
  calls: readonly string[];
  /** A code, unless the resource is released. */
  code?: string;
  events?: readonly string[];
}

const rows: Row[] = [
  {
    what: 'the image is deleted, and Glance is searched for others before the finalizer goes',
    held: [image],
    memory: promotes(image),
    calls: ['get 0', ...search, 'remove 0', ...search],
    events: ['Normal Deleted'],
  },
  {
    what: 'a protected image of ours is unprotected and deleted',
    held: [shielded],
    memory: promotes(shielded),
    calls: ['get 0', ...search, 'patch 0 /protected', 'remove 0', ...search],
    events: ['Normal Deleted'],
  },
  {
    what: 'images that the memory does not name are deleted, also hidden ones',
    held: [image, second],
    memory: memoryOf(),
    calls: [...search, 'remove 0', 'remove 1', ...search],
    events: ['Normal Deleted', 'Normal Deleted'],
  },
  { what: 'a resource without images is released', memory: memoryOf(), calls: [...search] },
  {
    what: 'an image that is gone already is no obstacle',
    memory: promotes(image),
    calls: ['get 0', ...search],
  },
  {
    what: 'an image that belongs to another project stays, and that is reported',
    held: [theirs],
    memory: promotes(theirs),
    calls: ['get 0', ...search],
    events: ['Warning TakenOver'],
  },
  {
    what: 'an image that bears the mark of another owner stays, and that is reported',
    held: [squatted],
    memory: promotes(squatted),
    calls: ['get 0', ...search],
    events: ['Warning TakenOver'],
  },
  {
    what: 'an image that Glance does not delete keeps the finalizer',
    held: [image],
    memory: promotes(image),
    faults: { remove: fail(new Conflict('in use', { httpStatus: 409 })) },
    calls: ['get 0', ...search, 'remove 0'],
    code: 'Conflict',
  },
  {
    what: 'images that are retained lose the mark of the cluster, and none is deleted',
    held: [image, second],
    memory: promotes(image),
    spec: { deletionPolicy: 'Retain' },
    calls: ['get 0', ...search, 'patch 0 /glance_image_operator_cluster', 'patch 1 /glance_image_operator_cluster'],
    events: ['Normal Retained'],
  },
  {
    what: 'an abandoned image costs no call',
    held: [image],
    memory: promotes(image),
    annotations: { [abandonAnnotation]: 'true' },
    calls: [],
    events: ['Warning Abandoned'],
  },
  {
    what: 'a Secret that is gone keeps the finalizer while no session is open',
    held: [image],
    memory: promotes(image),
    options: { secret: new OperatorError('there is no Secret', { code: 'SecretNotFound' }) },
    calls: [],
    code: 'SecretNotFound',
  },
  {
    what: 'a memory of a later version keeps the finalizer',
    held: [image],
    calls: [],
    options: { resource: { status: { operation: { ...asOperation(promotes(image)), version: 2 } } } },
    code: 'NewerOperator',
  },
];

describe('the deletion of a resource', () => {
  for (const { what, held, memory, faults, spec, annotations = {}, options, calls, code, events = [] } of rows) {
    test(what, async () => {
      const glance = stubGlance(held, faults);
      const status = memory === undefined ? {} : { operation: asOperation(memory) };
      const resource = { status, ...(spec === undefined ? {} : { spec }), ...options?.resource };
      const { pass, context, reached } = passOf({
        ...options,
        glance,
        resource: { ...resource, metadata: { ...metadata, annotations } },
      });
      const released = await release(pass, context);
      assert.deepEqual(glance.calls, calls);
      assert.deepEqual(reached.events, events);
      const failure = released.kind === 'report' && released.report.end.kind === 'failed' && released.report.end.error;
      assert.equal(failure === false ? undefined : failure.code, code);
      assert.equal(released.kind, code === undefined ? 'released' : 'report');
    });
  }

  test('an image that Glance lists again and again after its deletion keeps the finalizer', async () => {
    const glance = stubGlance([image]);
    const images = { ...glance.images, remove: async () => {} };
    const resource = { status: { operation: asOperation(promotes(image)) }, metadata };
    const { pass, context } = passOf({ glance: { ...glance, images }, resource });
    const released = await release(pass, context);
    assert.partialDeepStrictEqual(released, { kind: 'report', report: { end: { kind: 'failed' } } });
  });
});
