/** Which files of this machine Glance can make the library read. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { stringify } from 'yaml';
import type { ImageData } from '../../src/glance/client/index.ts';
import { fixedCertificates } from '../../src/library/certificates.ts';
import { connectImageService } from '../../src/library/connect.ts';
import { createDownloads } from '../../src/library/download.ts';
import { imageId, wireImage } from '../glance/model.ts';
import { imageOf } from '../image/resource.ts';
import { reply, serve } from '../openstack/stub.ts';

async function scene(t: TestContext) {
  const root = await mkdtemp(join(tmpdir(), 'direct-'));
  t.after(() => rm(root, { recursive: true }));
  const [store, outside] = [join(root, 'store'), join(root, 'store-of-others')];
  await Promise.all([mkdir(join(store, 'sub'), { recursive: true }), mkdir(outside)]);
  await Promise.all([writeFile(join(store, 'sub', 'image'), 'file'), writeFile(join(outside, 'secret'), 'secret')]);
  await symlink(join(outside, 'secret'), join(store, 'link'));
  await symlink(store, join(root, 'alias'));
  return { root, store, outside };
}

/** What a sink gets of an image at this URL: the file, or what Glance serves. */
async function read(url: string, fileDirectories: readonly string[]): Promise<string> {
  const image = imageOf({ size: null, hash: null, checksum: null, locations: [{ url, metadata: {} }] });
  const served: ImageData = {
    size: undefined,
    checksum: undefined,
    body: (async function* () {
      yield Buffer.from('Glance');
    })(),
  };
  const downloads = createDownloads({
    client: { download: async () => served },
    find: async () => image,
    fileDirectories,
    signatures: 'disabled',
    certificates: fixedCertificates(new Map()),
  });
  const sink = new PassThrough();
  const text = sink.setEncoding('utf8').toArray();
  // A failed download destroys the sink.
  text.catch(() => undefined);
  await downloads.downloadTo(image.id, sink, new AbortController().signal);
  return (await text).join('');
}

test('a file below a given directory is read, through links of the directory itself too', async (t) => {
  const { root, store } = await scene(t);
  for (const directory of [store, `${store}/`, join(root, 'alias')]) {
    const path = join(directory, 'sub/image');
    assert.equal(await read(`file://${path}`, ['/nonexistent', directory]), 'file', directory);
  }
});

test('no file outside of the given directories is read, whatever path Glance names', async (t) => {
  const { store, outside } = await scene(t);
  const paths = [
    join(outside, 'secret'),
    `${store}/../store-of-others/secret`,
    `${store}/sub/../../store-of-others/secret`,
    join(store, 'link'),
    join(store, 'sub'),
    store,
    '/proc/../etc/hostname',
    '/dev/zero',
    // One that does not exist is no error: that would show whether it does.
    join(outside, 'missing'),
  ];
  for (const path of paths) assert.equal(await read(`file://${path}`, [store]), 'Glance', path);
  assert.equal(await read(`file://${join(store, 'sub/image')}`, []), 'Glance');
});

test('a missing file below a given directory is an error, and is not replaced by another source', async (t) => {
  const { store } = await scene(t);
  await assert.rejects(read(`file://${store}/missing`, [store]), /its file .*missing could not be read: ENOENT/);
});

test('a service for an address reads no file of this machine, although the directories of the connection have it', async (t) => {
  const { store } = await scene(t);
  const url = await serve(t, (request, response) => {
    if (request.url === '/v2/schemas/image') return reply(response, 404, {});
    if (request.url?.endsWith('/file') === true) return void response.end('Glance');
    reply(
      response,
      200,
      wireImage({ status: 'active', direct_url: `file://${store}/sub/image`, visibility: 'public' }),
    );
  });
  const entry = { auth_type: 'none', image_endpoint_override: url };
  const cloudsYaml = stringify({ clouds: { open: entry } });
  await using images = connectImageService({ cloudsYaml, cloud: 'open', fileDirectories: [store] });
  await using there = images.at(url);
  const target = join(store, 'copy');
  for (const [service, text] of [
    [images, 'file'],
    [there, 'Glance'],
  ] as const) {
    await service.downloadToFile(imageId, target);
    assert.equal(await readFile(target, 'utf8'), text);
  }
});
