/** Edits that make other tools replace the image, fail, or download again. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { qcow2, raw } from '../env/images.ts';
import { changesSomething, type FaultProxy, startProxy } from '../env/proxy.ts';
import { connectStack } from '../env/stack.ts';
import { digestOf } from './digest.ts';
import { World } from './world.ts';

describe('unusual edits', () => {
  let glance: FaultProxy;
  let world: World;
  before(async () => {
    const stack = await connectStack();
    glance = await startProxy({ url: stack.openstack.imageUrl });
    world = await World.create({ stack, clouds: { imageUrl: glance.url } });
  });
  after(async () => {
    await world[Symbol.asyncDispose]();
    await glance[Symbol.asyncDispose]();
  });

  test('a property called properties, and one that looks like an attribute in other case, are properties like others', async () => {
    const properties = { properties: "{'a': 'b'}", OS_Hidden: 'yes' };
    await world.apply('declared', { image: { properties } });
    const { status } = await world.ready('declared');
    assert.deepEqual(status.image?.properties, properties);

    await world.apply('foreign', { interval: '10s', image: { properties: { os_distro: 'x' } } });
    const before = await world.ready('foreign');
    const added = Object.entries(properties).map(([key, value]) => ({ op: 'add', path: `/${key}`, value }));
    await world.patchImage(before.status.imageID, added);
    const purged = await world.until(
      'foreign',
      'seen again',
      (now) => now.status.image?.updatedAt !== before.status.image?.updatedAt,
    );
    assert.deepEqual(purged.status.image?.properties, { os_distro: 'x' });
    assert.equal(purged.status.imageID, before.status.imageID);
    const record = await world.project.getImage(before.status.imageID ?? '');
    assert.deepEqual([record['properties'], record['OS_Hidden']], [undefined, undefined]);
  });

  test('protected, hidden and the minimums of an active image are changed in place, by one request each', async () => {
    const body = qcow2(3 * 2 ** 30);
    const content = { http: { url: world.source.add('/place.qcow2', { body }), digest: digestOf(body) } };
    const of = (image: object) => ({ image: { diskFormat: 'qcow2', minDiskGiB: 3, ...image }, content });
    await world.apply('place', of({}));
    const { status } = await world.ready('place');
    for (const [image, key, value] of [
      [{ protected: true }, 'protected', true],
      [{ protected: false }, 'protected', false],
      [{ minDiskGiB: 5 }, 'min_disk', 5],
      [{ minRAMMiB: 64, minDiskGiB: 5 }, 'min_ram', 64],
      [{ hidden: true, minRAMMiB: 64, minDiskGiB: 5 }, 'os_hidden', true],
      // Below the virtual size of the disk.
      [{ hidden: true, minRAMMiB: 64, minDiskGiB: 2 }, 'min_disk', 2],
    ] as const) {
      const from = glance.requests.length;
      await world.apply('place', of(image));
      const { status: now } = await world.ready('place');
      assert.equal(now.imageID, status.imageID);
      const writes = glance.requests.slice(from).filter(changesSomething);
      assert.deepEqual(
        writes.map(({ method, path }) => `${method} ${path}`),
        [`PATCH /v2/images/${status.imageID}`],
        key,
      );
      assert.equal((await world.project.getImage(status.imageID ?? ''))[key], value);
    }
  });

  test('a file with another digest than declared is downloaded once, and again after an hour, also if the operator restarts', async () => {
    const body = raw(256 * 1024);
    const url = world.source.add('/wrong.raw', { body });
    await world.apply('wrong', {
      interval: '10s',
      image: { diskFormat: 'raw' },
      content: { http: { url, digest: digestOf(Buffer.from('other')) } },
    });
    const before = await world.reason('wrong', 'DigestMismatch');
    const pauseMs = Date.parse(before.status.nextAttemptTime ?? '') - Date.parse(before.status.lastError?.at ?? '');
    assert.ok(pauseMs > 45 * 60_000 && pauseMs < 75 * 60_000, `${pauseMs} ms`);
    await world.operator.kill();
    await world.start();
    // By then everything was listed and reconciled again.
    await world.apply('later', { image: {} });
    await world.ready('later');
    await world.annotate('wrong', 'example.com/note', 'seen');
    await world.apply('last', { image: {} });
    await world.ready('last');
    const { status } = await world.reason('wrong', 'DigestMismatch');
    assert.equal(status.nextAttemptTime, before.status.nextAttemptTime);
    assert.equal(status.lastError?.attempts, 1);
    assert.equal(world.source.requests.filter(({ path }) => path === '/wrong.raw').length, 1);
  });
});
