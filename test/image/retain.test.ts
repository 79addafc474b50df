/** The deletion of a resource whose images stay: which marks they lose, and which images go nevertheless. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { finalizer } from '../../src/api/group.ts';
import { Conflict, GlanceConnectionFailed, NotAuthorized } from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import { imageIDOf, markOf, ownerProperty } from '../../src/image/model/identity.ts';
import { asOperation, type Memory } from '../../src/image/model/memory.ts';
import { retain } from '../../src/image/reconcile/retain.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { type ContextOptions, passOf } from './contexts.ts';
import { identity, imageOf, uid } from './resource.ts';
import { memoryOf, promotes, withContent } from './states.ts';
import { type Faults, fail, stubGlance } from './stub-glance.ts';

const image = imageOf();
const second = imageOf({ id: imageIDOf(uid, 1), hidden: true });
const waiting = imageOf({ id: second.id, hidden: true, status: 'queued', size: null, checksum: null, hash: null });
const filled = withContent.spec;
const withoutCluster = imageOf({ properties: { [ownerProperty]: markOf(identity)[ownerProperty] ?? '' } });
const squatted = imageOf({ properties: { ...markOf(identity), [ownerProperty]: 'demo/debian/0' } });
const metadata = { deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: [finalizer] };
const search = ['list', 'list hidden'];

interface Row {
  what: string;
  held?: readonly Image[];
  memory?: Memory;
  faults?: Faults;
  spec?: Record<string, unknown>;
  options?: ContextOptions;
  calls: readonly string[];
  /** Of a reconcile that begins again. */
  isAgain?: boolean;
  events?: readonly string[];
}

const rows: Row[] = [
  {
    what: 'all images lose the mark of the cluster, also hidden ones that the memory does not name',
    held: [image, second],
    memory: promotes(image),
    calls: ['get 0', ...search, 'patch 0 /glance_image_operator_cluster', 'patch 1 /glance_image_operator_cluster'],
    events: ['Normal Retained'],
  },
  {
    what: 'an image that waits for its first data is deleted, and the one to use stays',
    held: [image, waiting],
    memory: { ...promotes(image), images: [image.id, waiting.id] },
    spec: filled,
    calls: ['get 0', 'get 1', ...search, 'patch 0 /glance_image_operator_cluster', 'remove 1'],
    events: ['Normal Retained', 'Normal Deleted'],
  },
  {
    what: 'an image that waits for its first data stays without the mark if Glance does not delete it',
    held: [waiting],
    memory: { ...memoryOf(), images: [waiting.id] },
    faults: { remove: fail(new Conflict('in use', { httpStatus: 409 })) },
    spec: filled,
    calls: ['get 1', ...search, 'remove 1', 'patch 1 /glance_image_operator_cluster'],
    events: ['Normal Retained'],
  },
  {
    what: 'an image without data whose data another client brings stays',
    held: [waiting],
    memory: { ...memoryOf(), images: [waiting.id] },
    calls: ['get 1', ...search, 'patch 1 /glance_image_operator_cluster'],
    events: ['Normal Retained'],
  },
  {
    what: 'an image without data that consumers may know stays',
    held: [waiting],
    memory: { ...promotes(waiting), published: [waiting.id] },
    spec: filled,
    calls: ['get 1', ...search, 'patch 1 /glance_image_operator_cluster'],
    events: ['Normal Retained'],
  },
  {
    what: 'an image that has lost the mark already costs no write',
    held: [withoutCluster],
    memory: promotes(image),
    calls: ['get 0', ...search],
    events: ['Normal Retained'],
  },
  {
    what: 'an image whose data is being stored keeps the mark, because Glance would lose the change, and that is reported',
    held: [imageOf({ status: 'saving' })],
    memory: promotes(image),
    calls: ['get 0', ...search],
    events: ['Warning Retained'],
  },
  {
    what: 'an image whose mark Glance does not remove is released, and that is reported',
    held: [image, second],
    memory: promotes(image),
    faults: { patch: fail(new NotAuthorized('no', { httpStatus: 403 })) },
    calls: ['get 0', ...search, 'patch 0 /glance_image_operator_cluster', 'patch 1 /glance_image_operator_cluster'],
    events: ['Warning Retained'],
  },
  {
    what: 'an image of another owner is left as it is, and that is reported',
    held: [squatted],
    memory: promotes(squatted),
    calls: ['get 0', ...search],
    events: ['Warning TakenOver'],
  },
  {
    what: 'an image is released without credentials, and the mark that stays is reported',
    held: [image],
    memory: promotes(image),
    options: { secret: new OperatorError('there is no Secret', { code: 'SecretNotFound' }) },
    calls: [],
    events: ['Warning Retained'],
  },
  {
    what: 'an image is released although Glance does not respond',
    held: [image],
    memory: promotes(image),
    faults: { get: fail(new GlanceConnectionFailed('no response', 'GlanceUnreachable', {})) },
    calls: ['get 0'],
    events: ['Warning Retained'],
  },
  {
    what: 'an image whose resource has a memory of a later version is released as it is',
    held: [image],
    calls: [],
    options: { resource: { status: { operation: { ...asOperation(promotes(image)), version: 2 } } } },
    events: ['Warning Retained'],
  },
  {
    what: 'a cloud that was not known begins again in its own flow',
    held: [image],
    memory: promotes(image),
    options: { secret: { version: '7', open: async () => undefined } },
    calls: [],
    isAgain: true,
  },
];

describe('the deletion of a resource whose images stay', () => {
  for (const { what, held, memory, faults, spec, options, calls, isAgain = false, events = [] } of rows) {
    test(`with deletionPolicy Retain, ${what}`, async () => {
      const glance = stubGlance(held, faults);
      const status = memory === undefined ? {} : { operation: asOperation(memory) };
      const resource = { status, spec: { ...spec, deletionPolicy: 'Retain' }, ...options?.resource, metadata };
      const { pass, context, reached } = passOf({ ...options, glance, resource });
      const retained = await retain(pass, context);
      assert.deepEqual([glance.calls, reached.events], [calls, events]);
      assert.deepEqual(retained, isAgain ? { kind: 'outcome', outcome: { kind: 'requeue' } } : { kind: 'released' });
    });
  }

  test('with Retain, an image is released although the reconcile has reached its deadline', async () => {
    const glance = stubGlance([image], { get: () => Promise.reject(deadline.signal.reason) });
    const deadline = new AbortController();
    deadline.abort(new OperatorError('it took too long', { code: 'TimedOut' }));
    const resource = {
      spec: { deletionPolicy: 'Retain' },
      status: { operation: asOperation(promotes(image)) },
      metadata,
    };
    const { pass, context, reached } = passOf({ glance, resource });
    const released = await retain(pass, { ...context, signal: deadline.signal });
    assert.equal(released.kind, 'released');
    assert.deepEqual(reached.events, ['Warning Retained']);
  });
});
