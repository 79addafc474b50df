/** The deletion of a resource: which images are deleted, and when the finalizer may go. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { abandonAnnotation, finalizer } from '../../src/api/group.ts';
import { Conflict, GlanceConnectionFailed, NotAuthorized } from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import { imageIDOf, markOf, ownerProperty } from '../../src/image/model/identity.ts';
import { asOperation, type Memory } from '../../src/image/model/memory.ts';
import { release } from '../../src/image/reconcile/release.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { type ContextOptions, passOf } from './contexts.ts';
import { identity, imageOf, uid } from './resource.ts';
import { memoryOf, promotes, withContent } from './states.ts';
import { type Faults, fail, stubGlance } from './stub-glance.ts';

const image = imageOf();
const second = imageOf({ id: imageIDOf(uid, 1), hidden: true });
const waiting = imageOf({ id: second.id, hidden: true, status: 'queued', size: null, checksum: null, hash: null });
const filled = { ...withContent.spec, deletionPolicy: 'Retain' };
const shielded = imageOf({ protected: true });
const withoutCluster = imageOf({ properties: { [ownerProperty]: markOf(identity)[ownerProperty] ?? '' } });
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
    what: 'all retained images lose the mark of the cluster, also hidden ones that the memory does not name',
    held: [image, second],
    memory: promotes(image),
    spec: { deletionPolicy: 'Retain' },
    calls: ['get 0', ...search, 'patch 0 /glance_image_operator_cluster', 'patch 1 /glance_image_operator_cluster'],
    events: ['Normal Retained'],
  },
  {
    what: 'with Retain, an image that waits for its first data is deleted, and the one to use stays',
    held: [image, waiting],
    memory: { ...promotes(image), images: [image.id, waiting.id] },
    spec: filled,
    calls: ['get 0', 'get 1', ...search, 'patch 0 /glance_image_operator_cluster', 'remove 1'],
    events: ['Normal Retained', 'Normal Deleted'],
  },
  {
    what: 'with Retain, an image that waits for its first data stays without the mark if Glance does not delete it',
    held: [waiting],
    memory: { ...memoryOf(), images: [waiting.id] },
    faults: { remove: fail(new Conflict('in use', { httpStatus: 409 })) },
    spec: filled,
    calls: ['get 1', ...search, 'remove 1', 'patch 1 /glance_image_operator_cluster'],
    events: ['Normal Retained'],
  },
  {
    what: 'with Retain, an image without data whose data another client brings stays',
    held: [waiting],
    memory: { ...memoryOf(), images: [waiting.id] },
    spec: { deletionPolicy: 'Retain' },
    calls: ['get 1', ...search, 'patch 1 /glance_image_operator_cluster'],
    events: ['Normal Retained'],
  },
  {
    what: 'with Retain, an image without data that consumers may know stays',
    held: [waiting],
    memory: { ...promotes(waiting), published: [waiting.id] },
    spec: filled,
    calls: ['get 1', ...search, 'patch 1 /glance_image_operator_cluster'],
    events: ['Normal Retained'],
  },
  {
    what: 'a retained image that has lost the mark already costs no write',
    held: [withoutCluster],
    memory: promotes(image),
    spec: { deletionPolicy: 'Retain' },
    calls: ['get 0', ...search],
    events: ['Normal Retained'],
  },
  {
    what: 'a retained image whose data is being stored keeps the mark, because Glance would lose the change, and that is reported',
    held: [imageOf({ status: 'saving' })],
    memory: promotes(image),
    spec: { deletionPolicy: 'Retain' },
    calls: ['get 0', ...search],
    events: ['Warning Retained'],
  },
  {
    what: 'a retained image whose mark Glance does not remove is released, and that is reported',
    held: [image, second],
    memory: promotes(image),
    faults: { patch: fail(new NotAuthorized('no', { httpStatus: 403 })) },
    spec: { deletionPolicy: 'Retain' },
    calls: ['get 0', ...search, 'patch 0 /glance_image_operator_cluster', 'patch 1 /glance_image_operator_cluster'],
    events: ['Warning Retained'],
  },
  {
    what: 'a retained image of another owner is left as it is, and that is reported',
    held: [squatted],
    memory: promotes(squatted),
    spec: { deletionPolicy: 'Retain' },
    calls: ['get 0', ...search],
    events: ['Warning TakenOver'],
  },
  {
    what: 'a retained image is released without credentials, and the mark that stays is reported',
    held: [image],
    memory: promotes(image),
    spec: { deletionPolicy: 'Retain' },
    options: { secret: new OperatorError('there is no Secret', { code: 'SecretNotFound' }) },
    calls: [],
    events: ['Warning Retained'],
  },
  {
    what: 'a retained image is released although Glance does not respond',
    held: [image],
    memory: promotes(image),
    faults: { get: fail(new GlanceConnectionFailed('no response', 'GlanceUnreachable', {})) },
    spec: { deletionPolicy: 'Retain' },
    calls: ['get 0'],
    events: ['Warning Retained'],
  },
  {
    what: 'a retained image whose resource has a memory of a later version is released as it is',
    held: [image],
    spec: { deletionPolicy: 'Retain' },
    calls: [],
    options: { resource: { status: { operation: { ...asOperation(promotes(image)), version: 2 } } } },
    events: ['Warning Retained'],
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

  test('a retained image is released although the reconcile has reached its deadline', async () => {
    const glance = stubGlance([image], { get: () => Promise.reject(deadline.signal.reason) });
    const deadline = new AbortController();
    deadline.abort(new OperatorError('it took too long', { code: 'TimedOut' }));
    const resource = {
      spec: { deletionPolicy: 'Retain' },
      status: { operation: asOperation(promotes(image)) },
      metadata,
    };
    const { pass, context, reached } = passOf({ glance, resource });
    const released = await release(pass, { ...context, signal: deadline.signal });
    assert.equal(released.kind, 'released');
    assert.deepEqual(reached.events, ['Warning Retained']);
  });

  test('an image that Glance lists again and again after its deletion keeps the finalizer', async () => {
    const glance = stubGlance([image]);
    const images = { ...glance.images, remove: async () => {} };
    const resource = { status: { operation: asOperation(promotes(image)) }, metadata };
    const { pass, context } = passOf({ glance: { ...glance, images }, resource });
    const released = await release(pass, context);
    assert.partialDeepStrictEqual(released, { kind: 'report', report: { end: { kind: 'failed' } } });
  });
});
