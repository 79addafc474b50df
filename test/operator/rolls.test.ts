/** A roll, a roll back and the end of an old revision on real servers, watched by another client. Nova is a stub of its one call. */
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { raw } from '../env/images.ts';
import { digestOf } from './digest.ts';
import { World } from './world.ts';

const address = z.object({ port: z.int() });

/** As `GET /servers?image=ID&limit=1` responds. */
function startNova(used: ReadonlySet<string>): Promise<{ url: string; server: Server }> {
  const server = createServer((request, response) => {
    const image = new URL(request.url ?? '', 'http://nova').searchParams.get('image') ?? '';
    const one = { id: '22c91117-08de-4894-9aa9-6ef382400985', name: 'new-server-test', links: [] };
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ servers: used.has(image) ? [one] : [] }));
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      resolve({ url: `http://127.0.0.1:${address.parse(server.address()).port}/v2.1`, server });
    });
  });
}

describe('an image that rolls on real servers', () => {
  let world: World;
  let nova: Server;
  const used = new Set<string>();
  before(async () => {
    const started = await startNova(used);
    nova = started.server;
    world = await World.create({ clouds: { extra: { compute_endpoint_override: started.url } } });
  });
  after(async () => {
    await world[Symbol.asyncDispose]();
    nova.close();
  });

  test('a roll, a roll back and the deletion of an old revision keep one visible image with the declared name', async () => {
    const [one, two] = [raw(64 * 1024), raw(128 * 1024)];
    const urls = [world.source.add('/one.raw', { body: one }), world.source.add('/two.raw', { body: two })];
    const specOf = (index: 0 | 1, keep: number) => ({
      image: { name: 'golden', diskFormat: 'raw', tags: ['a'] },
      content: { http: { url: urls[index], digest: digestOf(index === 0 ? one : two) } },
      revisions: { keep },
    });
    const shown = async () =>
      (await world.images())
        .map(({ name, os_hidden, status }) => `${name} ${status} ${os_hidden ? 'hidden' : 'visible'}`)
        .sort();
    const today = new Date().toISOString().slice(0, 8);

    await world.apply('roll', specOf(0, 1));
    const first = (await world.ready('roll')).status.imageID ?? assert.fail();
    await world.apply('roll', specOf(1, 1));
    const second = (await world.ready('roll')).status.imageID ?? assert.fail();
    assert.notEqual(second, first);
    const [retired, current] = await shown();
    assert.equal(current, 'golden active visible');
    assert.ok(retired?.startsWith(`golden (${today}`) && retired.endsWith('active hidden'), retired);
    assert.deepEqual((await world.project.getImage(first)).tags, []);

    const downloads = world.source.requests.length;
    await world.apply('roll', specOf(0, 1));
    const back = (await world.ready('roll')).status;
    assert.equal(back.imageID, first);
    assert.equal(world.source.requests.length, downloads, 'a roll back downloads nothing');
    assert.deepEqual(
      back.revisions?.map(({ state }) => state),
      ['Current', 'Retired'],
    );

    used.add(second);
    await world.apply('roll', specOf(0, 0));
    const inUse = await world.until('roll', 'the old revision is in use', ({ status }) =>
      (status.revisions ?? []).some(({ state }) => state === 'InUse'),
    );
    assert.equal(inUse.status.imageID, first);
    assert.equal((await world.images()).length, 2);

    await world.delete('roll');
    await world.gone('roll');
    assert.deepEqual(await world.images(), []);
  });
});
