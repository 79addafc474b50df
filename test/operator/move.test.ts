/**
 * `clusterctl move` between two API servers on one cloud, step by step, while both operators run: the object is created in the target
 * without its status; in the source its annotations are replaced by one of clusterctl, its finalizers are removed, and it is deleted.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { apiVersion, identityAnnotation, plural, reconcileAtAnnotation } from '../../src/api/group.ts';
import { clusterProperty } from '../../src/image/model/identity.ts';
import { moveAnnotation } from '../../src/image/reconcile/guard.ts';
import { type Cluster, startCluster } from '../chart/cluster.ts';
import { raw } from '../env/images.ts';
import { changesSomething, type FaultProxy, startProxy } from '../env/proxy.ts';
import { connectStack } from '../env/stack.ts';
import { digestOf } from './digest.ts';
import { messageOf, World } from './world.ts';

const body = raw(64 * 1024);
const objectSchema = z.looseObject({ metadata: z.looseObject({ annotations: z.record(z.string(), z.string()) }) });

describe('clusterctl move between two API servers', () => {
  let cluster: Cluster;
  let source: World;
  let target: World;
  /** The requests of the target. */
  let glance: FaultProxy;
  before(async () => {
    const stack = await connectStack();
    const flags = ['--cluster-name', 'source'];
    [cluster, source] = await Promise.all([startCluster(), World.create({ stack, flags })]);
    glance = await startProxy({ url: stack.openstack.imageUrl });
    const { kubernetes } = cluster;
    target = await World.create({
      stack: { ...stack, kubernetes },
      twin: source,
      clouds: { imageUrl: glance.url },
      flags: ['--cluster-name', 'target'],
    });
  });
  after(async () => {
    await target?.[Symbol.asyncDispose]();
    await source?.[Symbol.asyncDispose]();
    await glance?.[Symbol.asyncDispose]();
    await cluster?.stop();
  });

  const pathOf = (name = '') =>
    `/apis/${apiVersion}/namespaces/${source.namespace}/${plural}${name === '' ? '' : `/${name}`}`;

  async function declare(world: World, name: string, fields: Record<string, unknown> = {}, metadata = {}) {
    const http = { url: world.source.add(`/${name}.raw`, { body }), digest: digestOf(body) };
    await world.apply(name, { image: { diskFormat: 'raw' }, content: { http }, ...fields }, metadata);
    return world.ready(name);
  }

  /** As clusterctl does: the status is ignored by the server, and the finalizers come along. */
  async function create(name: string) {
    const { kubernetes } = source.stack;
    const object = (await kubernetes.request('GET', pathOf(name))).as(objectSchema);
    const { resourceVersion: _, ownerReferences: __, managedFields: ___, ...metadata } = object.metadata;
    (await cluster.kubernetes.request('POST', pathOf(), { ...object, metadata })).ok();
  }

  /** Resolves once the operator of the source has reconciled after the last change there: it works on events in their order. */
  async function sourceHasSeen(name: string) {
    await declare(source, `after-${name}`);
  }

  /** Annotates, strips and deletes, and has the operator of the source reconcile in between. */
  async function remove(name: string) {
    const { kubernetes } = source.stack;
    const patch = (patched: unknown, contentType: string) =>
      kubernetes.request('PATCH', pathOf(name), patched, { contentType }).then((answer) => answer.ok());
    const annotations = { [moveAnnotation]: '' };
    await patch([{ op: 'add', path: '/metadata/annotations', value: annotations }], 'application/json-patch+json');
    await patch({ metadata: { finalizers: [] } }, 'application/merge-patch+json');
    await sourceHasSeen(name);
    assert.deepEqual((await source.get(name))?.metadata.finalizers, [], 'the finalizer is not put back');
    await source.delete(name);
    assert.equal(await source.get(name), undefined, 'nothing keeps the object');
  }

  let isInheriting = false;
  async function inherit() {
    if (isInheriting) return;
    isInheriting = true;
    await target.operator.stop();
    await target.start(['--inherit-from', 'source']);
  }

  test('a target that inherits nothing changes nothing, the source deletes nothing, and the image is taken over once the target inherits', async () => {
    const { status } = await declare(source, 'refused');
    const image = await source.project.getImage(status.imageID ?? '');
    await create('refused');
    const refused = await target.reason('refused', 'TakenOver');
    assert.match(messageOf(refused), /another cluster \(source\).*--inherit-from/);
    await remove('refused');
    assert.deepEqual(glance.requests.filter(changesSomething), []);
    assert.deepEqual(await source.project.getImage(image.id), image);

    await inherit();
    await target.annotate('refused', reconcileAtAnnotation, '1');
    assert.equal((await target.ready('refused')).status.imageID, image.id);
    assert.equal((await source.project.getImage(image.id))[clusterProperty], 'target');
  });

  test('a target that inherits takes the image over, the source reports that and deletes nothing', async () => {
    await inherit();
    const { status } = await declare(source, 'moved');
    const { imageID = '' } = status;
    await create('moved');
    assert.equal((await target.ready('moved')).status.imageID, imageID);
    await source.annotate('moved', reconcileAtAnnotation, '1');
    await source.reason('moved', 'TakenOver');
    await remove('moved');
    await target.annotate('moved', reconcileAtAnnotation, '1');
    assert.equal((await target.ready('moved')).status.imageID, imageID);
    assert.deepEqual(
      (await source.images()).filter(({ name }) => name === 'moved').map(({ id }) => id),
      [imageID],
    );
    await target.delete('moved');
    await target.gone('moved');
    assert.equal((await source.project.image('GET', `/v2/images/${imageID}`)).status, 404);
  });

  test('a retained image loses the mark of its cluster, and an object of the same name and identity takes it back elsewhere', async () => {
    await inherit();
    const { metadata, status } = await declare(source, 'retained', { deletionPolicy: 'Retain' });
    const { imageID = '' } = status;
    await source.delete('retained');
    await source.gone('retained');
    assert.equal((await source.project.getImage(imageID))[clusterProperty], undefined);
    const annotations = { [identityAnnotation]: metadata.annotations[identityAnnotation] };
    const taken = await declare(target, 'retained', {}, { annotations });
    assert.equal(taken.status.imageID, imageID);
    assert.equal((await source.project.getImage(imageID))[clusterProperty], 'target');
  });
});
