/** The destinations of downloads: one that cannot take data is rejected, and nothing waits for it. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, type Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { type TestContext, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ImageCorrupted, ImageDownloadFailed, InvalidRequest } from '../../src/glance/errors.ts';
import { bytesOf } from '../glance/kit.ts';
import { imageId } from '../glance/model.ts';
import { serve } from '../openstack/stub.ts';
import { openStub, stubData } from './stub-glance.ts';
import { untyped } from './untyped.ts';

const active = { status: 'active', size: stubData.length, disk_format: 'raw', container_format: 'bare' };
const opened = (t: TestContext) => openStub(t, { image: active });

const invalid = (message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof InvalidRequest, `${error}`);
  assert.match(error.message, message);
  return true;
};

const noSinks: [name: string, sink: unknown][] = [
  ['null', null],
  ['absent', undefined],
  ['a number', 7],
  ['a text', 'text'],
  ['an object', {}],
  ['a list', []],
  ['a stream of the web', new WritableStream()],
  ['a stream without an end', { write() {}, writable: true }],
];
for (const [name, sink] of noSinks) {
  test(`a sink that is ${name} is rejected before the image is looked up`, async (t) => {
    const { images, requests } = await opened(t);
    await assert.rejects(images.downloadTo(imageId, untyped(sink)), invalid(/^sink: expected a Writable$/));
    assert.deepEqual(requests, []);
  });
}

const spent: [name: string, make: () => Promise<Writable>][] = [
  ['has ended', async () => new PassThrough().end()],
  [
    'has ended and finished',
    async () => {
      const sink = new PassThrough({ autoDestroy: false }).resume();
      sink.end();
      await finished(sink);
      return sink;
    },
  ],
  ['was destroyed', async () => new PassThrough().destroy()],
  [
    'failed',
    async () => {
      const sink = new PassThrough();
      sink.on('error', () => {});
      return sink.destroy(new Error('full'));
    },
  ],
];

for (const [name, make] of spent) {
  test(`a sink that ${name} is rejected before the image is looked up`, async (t) => {
    const { images, requests } = await opened(t);
    const sink = await make();
    await assert.rejects(images.downloadTo(imageId, sink), invalid(/^sink: it has ended or was destroyed$/));
    assert.deepEqual(requests, []);
  });

  test(`a download fails when its sink ${name} while the image is looked up`, async (t) => {
    let spend = () => {};
    const { images } = await openStub(t, {
      image: active,
      answer() {
        spend();
        return false;
      },
    });
    const sink = new PassThrough().resume();
    sink.on('error', () => {});
    spend = () => void (name.includes('ended') ? sink.end() : sink.destroy());
    await assert.rejects(images.downloadTo(imageId, sink), (error) => {
      assert.ok(error instanceof ImageDownloadFailed, `${error}`);
      assert.match(error.message, /the sink has ended or was destroyed/);
      return true;
    });
  });
}

test('a response to a request of HTTP is a sink', async (t) => {
  const { images } = await opened(t);
  const url = await serve(t, (_, response) => void images.downloadTo(imageId, response));
  assert.equal(await (await fetch(url)).text(), stubData);
});

const noPaths: [name: string, path: unknown][] = [
  ['null', null],
  ['a number', 7],
  ['an object', {}],
  ['in bytes', Buffer.from('/dev/null')],
  ['a symbol', Symbol('path')],
];
for (const [name, path] of noPaths) {
  test(`a path that is ${name} is rejected before the image is looked up`, async (t) => {
    const { images, requests } = await opened(t);
    await assert.rejects(images.downloadToFile(imageId, untyped(path)), invalid(/^path: expected string/));
    assert.deepEqual(requests, []);
  });
}

test('a file to which a link leads is removed when its download fails, and the link stays', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'links-'));
  t.after(() => rm(directory, { recursive: true }));
  const { images } = await openStub(t, {
    image: { ...active, checksum: '0'.repeat(32) },
    answer({ url }, response) {
      if (!url?.endsWith('/file')) return false;
      // In two pieces, of which the second one is held back.
      response.write(stubData.slice(0, 4), () => response.end(stubData.slice(4)));
      return true;
    },
  });
  for (const [name, before] of [
    ['old', 'data'],
    ['new', undefined],
  ] as const) {
    const [file, link] = [join(directory, name), join(directory, `link-${name}`)];
    if (before !== undefined) await writeFile(file, before);
    await symlink(file, link);
    await assert.rejects(images.downloadToFile(imageId, link), ImageCorrupted);
    assert.ok(!existsSync(file), name);
    assert.equal(await readlink(link), file);
  }
});

test('the second reader of a download gets an error, also while the first one reads', async (t) => {
  const { images } = await opened(t);
  const { body } = await images.download(imageId);
  const reading = bytesOf(body);
  await assert.rejects(bytesOf(body), invalid(/is read once/));
  assert.equal(String(await reading), stubData);
  await assert.rejects(bytesOf(body), invalid(/is read once/));
  // A reader that only ends it loses nothing.
  await body[Symbol.asyncIterator]().return?.();
});

test('a download whose file cannot be removed fails with its own error, not with that of the removal', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'files-'));
  t.after(() => rm(directory, { recursive: true }));
  const file = join(directory, 'image');
  const { images } = await openStub(t, {
    image: active,
    answer({ url }, response) {
      if (!url?.endsWith('/file')) return false;
      response.write(stubData.slice(0, 4), async () => {
        while (!existsSync(file)) await nextTurn();
        await rm(file);
        await mkdir(file);
        response.destroy();
      });
      return true;
    },
  });
  await assert.rejects(images.downloadToFile(imageId, file), ImageDownloadFailed);
});
