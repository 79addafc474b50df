import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { qcow2, raw } from '../env/images.ts';
import { digestOf } from './digest.ts';
import { World } from './world.ts';

describe('the main job', () => {
  let world: World;
  before(async () => {
    world = await World.create();
  });
  after(() => world[Symbol.asyncDispose]());

  test('a declared image exists in Glance, verified and exactly as declared', async () => {
    const body = qcow2(8 * 2 ** 20);
    const url = world.source.add('/ubuntu.qcow2', { body });
    await world.apply('ubuntu', {
      image: {
        diskFormat: 'qcow2',
        tags: ['lts'],
        minDiskGiB: 1,
        properties: { os_distro: 'ubuntu', hw_disk_bus: 'virtio', count: 3 },
      },
      content: { http: { url, digest: digestOf(body) } },
    });
    const { status } = await world.ready('ubuntu');
    const [image, ...others] = await world.images();
    assert.deepEqual(others, []);
    assert.equal(image?.id, status.imageID);
    assert.equal(image?.status, 'active');
    assert.equal(image?.['os_distro'], 'ubuntu');
    assert.equal(image?.['count'], '3');
    assert.equal(status.content?.digest, digestOf(body));
  });

  test('a raw image and a record without data become Ready', async () => {
    const body = raw(3 * 2 ** 20);
    const url = world.source.add('/raw', { body });
    await world.apply('raw', {
      image: { diskFormat: 'raw' },
      content: { http: { url, digest: digestOf(body, 'sha512') } },
    });
    await world.apply('record', {});
    await world.ready('raw');
    await world.ready('record');
  });
});
