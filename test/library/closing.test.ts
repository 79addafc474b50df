/** Closing a service: calls end with an error that says so, and what they left behind is removed before. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, watch } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLifetime } from '../../src/library/lifetime.ts';
import type { ImageService } from '../../src/library/service.ts';
import { SessionClosed } from '../../src/openstack/errors.ts';
import { createVirtualClock } from '../clock.ts';
import { imageId } from '../glance/model.ts';
import { openStub } from './stub-glance.ts';

const image = { disk_format: 'raw', container_format: 'bare' };
const closed = (error: unknown) => {
  assert.ok(error instanceof SessionClosed, `${error}`);
  assert.equal(error.code, 'SessionClosed');
  return true;
};

/** Creates an image whose data does not go on. Resolves when that has begun, with what shows that the call ends with its service. */
async function creating(service: ImageService): Promise<{ rejected: Promise<void> }> {
  const { promise: begun, resolve } = Promise.withResolvers<void>();
  async function* data() {
    yield Buffer.from('bytes');
    resolve();
    await new Promise(() => {});
  }
  const rejected = assert.rejects(service.create({ id: imageId }, { data: data() }), closed);
  await begun;
  return { rejected };
}

test('a call after the end of its service is a SessionClosed that names the cloud, and sends nothing', async (t) => {
  const { images, requests } = await openStub(t);
  await images.close();
  for (const call of [
    () => images.show(imageId),
    () => images.detail().next(),
    () => images.create({}),
    () => images.create({}, { data: Buffer.from('bytes') }),
    () => images.stage(imageId, Buffer.from('bytes')),
    () => images.downloadToFile(imageId, '/nonexistent/file'),
    () => images.versions(),
    async () => images.at('http://127.0.0.1:1'),
  ])
    await assert.rejects(call, closed);
  await assert.rejects(images.show(imageId), /the image service of cloud demo is closed/);
  assert.deepEqual(requests, []);
  await images.close();
});

test('a call that runs when its service is closed is a SessionClosed', async (t) => {
  const { promise: asked, resolve } = Promise.withResolvers<void>();
  const { images } = await openStub(t, {
    answer() {
      resolve();
      return true;
    },
  });
  const rejected = assert.rejects(images.usage(), closed);
  await asked;
  await images.close();
  await rejected;
});

test('an image whose creation ends with its service is removed before the service is closed', async (t) => {
  const { images, writes } = await openStub(t, { image });
  const { rejected } = await creating(images);
  await images.close();
  assert.equal(writes().at(-1), `DELETE /images/${imageId}`);
  await rejected;
});

test('the service of an address removes the image of its creation, and the one that it was made by stays open', async (t) => {
  const { images, writes, url } = await openStub(t, { image });
  const there = images.at(url);
  const { rejected } = await creating(there);
  await there.close();
  assert.equal(writes().at(-1), `DELETE /images/${imageId}`);
  await rejected;
  await assert.rejects(there.show(imageId), closed);
  assert.equal((await images.show(imageId)).id, imageId);
});

test('closing a service also ends the calls and removes the images of those for an address', async (t) => {
  const { images, writes, url } = await openStub(t, { image });
  const { rejected } = await creating(images.at(url));
  await images.close();
  assert.equal(writes().at(-1), `DELETE /images/${imageId}`);
  await rejected;
});

test('no service for an address is made while its own is being closed', async (t) => {
  const { promise: asked, resolve } = Promise.withResolvers<ServerResponse>();
  const { images, url } = await openStub(t, {
    image,
    answer({ method }, response) {
      if (method === 'DELETE') resolve(response);
      return method === 'DELETE';
    },
  });
  const { rejected } = await creating(images);
  const closing = images.close();
  const removal = await asked;
  assert.throws(() => images.at(url), closed);
  removal.writeHead(204).end();
  await closing;
  await rejected;
});

test('a file that a download has written in part is removed before its service is closed', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'closing-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'disk.raw');
  const { images } = await openStub(t, {
    image: { ...image, status: 'active', size: 1000 },
    answer({ method, url }, response) {
      if (method !== 'GET' || url !== `/v2/images/${imageId}/file`) return false;
      response.writeHead(200, { 'content-length': '1000' }).write('bytes');
      return true;
    },
  });
  const rejected = assert.rejects(images.downloadToFile(imageId, path), closed);
  for await (const { filename } of watch(folder)) if (filename === 'disk.raw') break;
  await images.close();
  assert.deepEqual(await readdir(folder), []);
  await rejected;
});

test('the end of a service waits ten seconds for a removal, and no longer', async () => {
  const clock = createVirtualClock();
  const lifetime = createLifetime(clock);
  void lifetime.during(() => new Promise(() => {}));
  let isOver = false;
  const end = lifetime.end(new SessionClosed('over')).then(() => {
    isOver = true;
  });
  assert.ok(lifetime.signal.aborted);
  await clock.advance(9_999);
  assert.equal(isOver, false);
  await clock.advance(1);
  await end;
  await assert.rejects(
    lifetime.during(async () => {}),
    closed,
  );
});

test('many calls at once leave no warning about listeners', async (t) => {
  const { images } = await openStub(t, { image });
  const warnings: Error[] = [];
  const note = (warning: Error) => void warnings.push(warning);
  process.on('warning', note);
  t.after(() => process.off('warning', note));
  await Promise.all(Array.from({ length: 50 }, () => images.show(imageId)));
  assert.deepEqual(warnings, []);
});
