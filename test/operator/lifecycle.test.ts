import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { markOf, ownerOf } from '../../src/image/model/identity.ts';
import { generated } from '../env/content.ts';
import { raw } from '../env/images.ts';
import { digestOf } from './digest.ts';
import { messageOf, World } from './world.ts';

describe('an image follows its declaration', () => {
  let world: World;
  const body = raw(512 * 1024);
  const digest = digestOf(body);
  let content: { http: { url: string; digest: string } };
  before(async () => {
    world = await World.create();
    content = { http: { url: world.source.add('/image.raw', { body }), digest } };
  });
  after(() => world[Symbol.asyncDispose]());

  const filled = (image: Record<string, unknown> = {}, more = {}) => ({
    image: { diskFormat: 'raw', ...image },
    content,
    ...more,
  });

  async function inGlance(name: string) {
    const resource = await world.get(name);
    return world.project.getImage(resource?.status.imageID ?? '');
  }

  test('edits reach Glance, and fields that are no longer declared are removed', async () => {
    await world.apply(
      'edited',
      filled({ name: 'one', tags: ['a', 'b'], properties: { keep: '1', change: 'old', drop: 'x' } }),
    );
    const { status: before } = await world.ready('edited');
    await world.apply(
      'edited',
      filled({
        name: 'two',
        tags: ['b', 'c'],
        minDiskGiB: 3,
        minRAMMiB: 64,
        hidden: true,
        properties: { keep: '1', change: 'new' },
      }),
    );
    const { status } = await world.ready('edited');
    const image = await inGlance('edited');
    assert.equal(status.imageID, before.imageID);
    assert.equal(image.name, 'two');
    assert.deepEqual([...image.tags].sort(), ['b', 'c']);
    assert.equal(image['min_disk'], 3);
    assert.equal(image['min_ram'], 64);
    assert.equal(image['os_hidden'], true);
    assert.equal(image['change'], 'new');
    assert.equal(image['drop'], undefined);
  });

  test('a property accepts any JSON value, and the two that Nova reads become JSON text', async () => {
    const mapping = [{ device_name: 'vda', boot_index: 0, nested: { deep: true } }];
    const properties = {
      text: 'a',
      yes: true,
      n: 1.5,
      list: [1, 'two'],
      'a/b~c': 'odd key',
      block_device_mapping: mapping,
      ünï: 'größe',
    };
    await world.apply('json', filled({ properties }));
    const { status } = await world.ready('json');
    const image = await inGlance('json');
    assert.equal(image['yes'], 'true');
    assert.equal(image['n'], '1.5');
    assert.equal(image['list'], '[1,"two"]');
    assert.equal(image['a/b~c'], 'odd key');
    assert.equal(image['ünï'], 'größe');
    assert.deepEqual(JSON.parse(String(image['block_device_mapping'])), mapping);
    assert.deepEqual(status.image?.properties['block_device_mapping'], mapping);
  });

  test('drift is corrected within the interval and reported once', async () => {
    await world.apply('drift', filled({ properties: { a: '1' } }, { interval: '10s' }));
    const { status } = await world.ready('drift');
    const change = [
      { op: 'replace', path: '/name', value: 'by hand' },
      { op: 'replace', path: '/a', value: '2' },
      { op: 'add', path: '/stray', value: 'x' },
    ];
    await world.patchImage(status.imageID, change);
    await world.untilEvent('DriftCorrected');
    const image = await inGlance('drift');
    assert.equal(image.name, 'drift');
    assert.equal(image['a'], '1');
    assert.equal(image['stray'], undefined);
  });

  test('Merge keeps foreign properties and removes our own when they are no longer declared', async () => {
    await world.apply('merge', filled({ properties: { ours: '1', gone: '2' } }, { propertyPolicy: 'Merge' }));
    const { status } = await world.ready('merge');
    await world.patchImage(status.imageID, [{ op: 'add', path: '/theirs', value: 'x' }]);
    await world.apply('merge', filled({ properties: { ours: '3' } }, { propertyPolicy: 'Merge' }));
    await world.ready('merge');
    const image = await inGlance('merge');
    assert.equal(image['ours'], '3');
    assert.equal(image['gone'], undefined);
    assert.equal(image['theirs'], 'x');
  });

  test('a new value of the annotation triggers a reconcile immediately', async () => {
    await world.apply('now', filled({}, { interval: '0' }));
    const { status } = await world.ready('now');
    await world.patchImage(status.imageID, [{ op: 'replace', path: '/name', value: 'by hand' }]);
    await world.annotate('now', 'glance-image-operator.dev/reconcile-at', 'today');
    await world.until('now', 'handled', (resource) => resource.status.lastHandledReconcileAt === 'today');
    assert.equal((await inGlance('now')).name, 'now');
  });

  test('an image deleted in Glance is created again with a new id', async () => {
    await world.apply('lost', filled({}, { interval: '0' }));
    const { status: before } = await world.ready('lost');
    (await world.project.image('DELETE', `/v2/images/${before.imageID}`)).ok();
    await world.annotate('lost', 'glance-image-operator.dev/reconcile-at', '1');
    const after = await world.until(
      'lost',
      'made again',
      ({ status }) => status.imageID !== before.imageID && status.image?.status === 'active',
    );
    assert.equal(after.status.content?.digest, digest);
  });

  test('a foreign image of the same name is never changed', async () => {
    const foreign = await world.project.createImage({ name: 'twin', visibility: 'private', stray: 'x' }, raw(1024));
    await world.apply('twin', filled());
    const { status } = await world.ready('twin');
    assert.notEqual(status.imageID, foreign.id);
    await world.delete('twin');
    await world.gone('twin');
    assert.deepEqual(await world.project.getImage(foreign.id), foreign);
  });

  test('a protected image is deleted with its resource', async () => {
    await world.apply('protected', filled({ protected: true }));
    const { status } = await world.ready('protected');
    assert.equal((await inGlance('protected')).protected, true);
    await world.delete('protected');
    await world.gone('protected');
    assert.equal((await world.project.image('GET', `/v2/images/${status.imageID}`)).status, 404);
  });

  test('Retain keeps the image', async () => {
    await world.apply('retain', filled({}, { deletionPolicy: 'Retain' }));
    const { status } = await world.ready('retain');
    await world.delete('retain');
    await world.gone('retain');
    assert.equal((await world.project.getImage(status.imageID ?? '')).status, 'active');
  });

  test('a deletion during a transfer leaves no image behind', async () => {
    const url = world.source.add('/slow.raw', {
      body: generated(64 * 2 ** 20),
      gate: { at: 2 ** 20, released: new Promise(() => {}) },
    });
    await world.apply('cancelled', { image: { diskFormat: 'raw' }, content: { http: { url, digest } } });
    const { status } = await world.reason('cancelled', 'Transferring');
    await world.source.requested('/slow.raw');
    await world.delete('cancelled');
    await world.gone('cancelled');
    assert.equal((await world.project.image('GET', `/v2/images/${status.imageID}`)).status, 404);
  });

  test('suspend cancels a transfer, and resume starts it again', async () => {
    const released = Promise.withResolvers<void>();
    const big = raw(4 * 2 ** 20);
    const url = world.source.add('/held.raw', { body: big, gate: { at: 2 ** 20, released: released.promise } });
    const spec = { image: { diskFormat: 'raw' }, content: { http: { url, digest: digestOf(big) } } };
    await world.apply('suspended', spec);
    await world.source.requested('/held.raw');
    await world.apply('suspended', { ...spec, suspend: true });
    const { status } = await world.reason('suspended', 'Suspended');
    assert.equal(status.transfer, undefined);
    released.resolve();
    await world.apply('suspended', { ...spec, suspend: false });
    await world.ready('suspended');
  });

  test('the status shows the progress of a transfer', async () => {
    const released = Promise.withResolvers<void>();
    const big = raw(8 * 2 ** 20);
    const url = world.source.add('/progress.raw', { body: big, gate: { at: 4 * 2 ** 20, released: released.promise } });
    await world.apply('progress', { image: { diskFormat: 'raw' }, content: { http: { url, digest: digestOf(big) } } });
    const { status } = await world.until('progress', 'half way', ({ status }) => (status.transfer?.percent ?? 0) > 20);
    assert.equal(status.transfer?.totalBytes, big.length);
    assert.match(status.progress ?? '', /^\d+%$/);
    released.resolve();
    await world.ready('progress');
  });

  test('a Secret that leads to another project does not make a second image', async () => {
    const other = await world.stack.openstack.createProject();
    await world.writeSecret('moving', { 'clouds.yaml': await world.project.cloudsYaml() });
    const cloud = { secretRef: { name: 'moving' }, name: 'demo' };
    await world.apply('moving', filled({}, { cloud }));
    const { status } = await world.ready('moving');
    await world.writeSecret('moving', { 'clouds.yaml': await other.cloudsYaml() });
    await world.annotate('moving', 'glance-image-operator.dev/reconcile-at', '1');
    const resource = await world.reason('moving', 'CloudChanged');
    assert.match(messageOf(resource), new RegExp(`${world.project.id}.*${other.id}`));
    assert.equal(resource.status.imageID, status.imageID);
    assert.deepEqual(await other.listImages(), []);
    await world.writeSecret('moving', {
      'clouds.yaml': await world.project.cloudsYaml({ auth: 'applicationCredential' }),
    });
    await world.annotate('moving', 'glance-image-operator.dev/reconcile-at', '2');
    await world.ready('moving');
  });

  test('a deletion after the Secret is gone uses the session that is still open', async () => {
    await world.writeSecret('closing', { 'clouds.yaml': await world.project.cloudsYaml() });
    await world.apply('closing', filled({}, { cloud: { secretRef: { name: 'closing' }, name: 'demo' } }));
    const { status } = await world.ready('closing');
    const path = `/api/v1/namespaces/${world.namespace}/secrets/closing`;
    (await world.stack.kubernetes.request('DELETE', path)).ok();
    await world.delete('closing');
    await world.gone('closing');
    assert.equal((await world.project.image('GET', `/v2/images/${status.imageID}`)).status, 404);
  });

  test('a resource whose Secret is missing reports it on deletion after a restart, and can be abandoned', async () => {
    await world.writeSecret('going', { 'clouds.yaml': await world.project.cloudsYaml() });
    await world.apply('orphan', filled({}, { cloud: { secretRef: { name: 'going' }, name: 'demo' } }));
    const { status } = await world.ready('orphan');
    const path = `/api/v1/namespaces/${world.namespace}/secrets/going`;
    (await world.stack.kubernetes.request('DELETE', path)).ok();
    await world.operator.stop();
    await world.start();
    await world.delete('orphan');
    const resource = await world.reason('orphan', 'SecretNotFound');
    assert.match(messageOf(resource), /cannot delete the image: there is no Secret "going"/);
    assert.match(messageOf(resource), /set its annotation glance-image-operator\.dev\/abandon to "true"/);
    await world.annotate('orphan', 'glance-image-operator.dev/abandon', 'true');
    await world.gone('orphan');
    assert.equal((await world.project.getImage(status.imageID ?? '')).status, 'active');
  });

  test('a resource whose Secret is missing keeps its image and ends, once its policy is changed to Retain during the deletion', async () => {
    await world.writeSecret('going', { 'clouds.yaml': await world.project.cloudsYaml() });
    const declared = filled({}, { cloud: { secretRef: { name: 'going' }, name: 'demo' } });
    await world.apply('released', declared);
    const { status } = await world.ready('released');
    const path = `/api/v1/namespaces/${world.namespace}/secrets/going`;
    (await world.stack.kubernetes.request('DELETE', path)).ok();
    await world.operator.stop();
    await world.start();
    await world.delete('released');
    await world.reason('released', 'SecretNotFound');
    await world.apply('released', { ...declared, deletionPolicy: 'Retain' });
    await world.gone('released');
    assert.equal((await world.project.getImage(status.imageID ?? '')).status, 'active');
  });

  test('a resource that never reached its cloud is deleted immediately', async () => {
    await world.apply('never', { cloud: { secretRef: { name: 'nowhere' }, name: 'demo' } });
    await world.reason('never', 'SecretNotFound');
    await world.delete('never');
    await world.gone('never');
  });

  test('the owner mark names the resource', async () => {
    await world.apply('marked', filled());
    const { metadata } = await world.ready('marked');
    const image = await inGlance('marked');
    const owner = ownerOf(world.namespace, 'marked', metadata.uid);
    assert.equal(image['glance_image_operator_owner'], owner);
    assert.equal(typeof image['glance_image_operator_cluster'], 'string');
    assert.deepEqual(Object.keys(markOf({ uid: '', value: '', owner: '', cluster: '', isOriginal: true })).sort(), [
      'glance_image_operator_cluster',
      'glance_image_operator_owner',
    ]);
  });

  test('the status of an image that loses its last property can be written', async () => {
    await world.apply('bare', { image: { properties: { color: 'red', shape: { width: 1 } } } });
    await world.ready('bare');
    await world.apply('bare', { image: {} });
    const { status } = await world.ready('bare');
    assert.deepEqual(status.image?.properties, {});
    await world.apply('bare', { image: { properties: { shape: { height: 2 } } } });
    assert.deepEqual((await world.ready('bare')).status.image?.properties, { shape: '{"height":2}' });
  });
});
