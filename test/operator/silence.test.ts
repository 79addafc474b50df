import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { countByVerb } from '../env/audit.ts';
import { raw } from '../env/images.ts';
import { changesSomething, type FaultProxy, startProxy } from '../env/proxy.ts';
import { connectStack } from '../env/stack.ts';
import { digestOf } from './digest.ts';
import { World } from './world.ts';

const images = 20;
/** The shortest interval there is. */
const intervalMs = 10_000;
/** The default. */
const transfersAtOnce = 5;

describe('a converged cluster', () => {
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

  test('an image becomes Ready with few writes and calls, and causes none from then on', async () => {
    const body = raw(64 * 1024);
    const url = world.source.add('/image.raw', { body });
    const names = Array.from({ length: images }, (_, index) => `image-${index}`);
    const start = await world.stack.kubernetes.audit.mark();
    const startedAt = performance.now();
    await Promise.all(
      names.map((name) =>
        world.apply(name, {
          interval: '10s',
          image: { diskFormat: 'raw', properties: { os_distro: 'x' } },
          content: { http: { url, digest: digestOf(body) } },
        }),
      ),
    );
    await Promise.all(names.map((name) => world.ready(name)));
    // Events are sent shortly after the status that they describe.
    await world.untilEvents('Ready', images);
    const { audit } = world.stack.kubernetes;
    const writes = await audit.writes(world.user, start);
    // Lists come once an interval, however long it takes.
    const calls = glance.requests.filter(({ path }) => path.startsWith('/v2/images/') || path === '/v2/images');
    process.stdout.write(
      `writes: ${JSON.stringify(countByVerb(writes))}; Glance calls: ${calls.length} for ${images} images\n`,
    );
    // Finalizer, status, Event. A slow transfer also writes its progress, and a long wait for a slot costs a status.
    const elapsedMs = performance.now() - startedAt;
    const progress = (transfersAtOnce * elapsedMs) / 2_000 + (elapsedMs < 30_000 ? 0 : images);
    assert.ok(
      writes.length <= 3 * images + progress,
      `${writes.length} writes, at most ${progress} of them of progress: ${JSON.stringify(countByVerb(writes))}`,
    );
    const drift = glance.requests.length;
    // Create, upload, look.
    assert.equal(calls.length, 3 * images);

    const settled = await audit.mark();
    await sleep(3.3 * intervalMs);
    assert.deepEqual(countByVerb(await audit.writes(world.user, settled)), {});
    const later = glance.requests.slice(drift);
    assert.deepEqual(later.filter(changesSomething), []);
    assert.ok(later.length >= 2, 'the drift checks were made');
    assert.ok(later.length < images, `they cost pages, not a call for each image: ${later.length} calls`);
  });

  test('a restart of the operator causes no writes', async () => {
    const { audit } = world.stack.kubernetes;
    await world.operator.stop();
    const mark = await audit.mark();
    const before = glance.requests.length;
    await world.start();
    assert.deepEqual(countByVerb(await audit.writes(world.user, mark)), {});
    assert.ok(glance.requests.length - before < images, 'the checks after a restart are spread over the interval');
  });
});
