/** Changes of one image at the same time, by this service and by other clients: none undoes another. */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import { InvalidRequest } from '../../src/glance/errors.ts';
import type { ConnectedImageService } from '../../src/library/connect.ts';
import type { JsonObject } from '../../src/openstack/json.ts';
import { applied, imageId, wireImage } from '../glance/model.ts';
import { reply } from '../openstack/stub.ts';
import { openStub } from './stub-glance.ts';

/** A Glance that makes changes. `onRead` and `onChange` run after the image was read, and before a change is made. */
async function changeable(
  t: TestContext,
  given: JsonObject,
  { onRead = () => {}, onChange = () => {} }: { onRead?: () => void; onChange?: () => void } = {},
) {
  let image = wireImage(given);
  const { images, bodies, writes } = await openStub(t, {
    answer({ method, url }, response) {
      if (url !== `/v2/images/${imageId}`) return false;
      if (method === 'PATCH') {
        onChange();
        image = applied(image, JSON.parse(bodies.at(-1) ?? ''));
      }
      reply(response, 200, image);
      if (method === 'GET') onRead();
      return true;
    },
  });
  const change = (attributes: JsonObject) => {
    image = { ...image, ...attributes };
  };
  return { images, writes, change, image: () => image };
}

const changes: [
  name: string,
  given: JsonObject,
  other: (images: ConnectedImageService) => Promise<unknown>,
  after: JsonObject,
][] = [
  [
    'an update of all tags',
    { tags: ['old'] },
    (images) => images.update(imageId, { tags: ['new'] }),
    { tags: ['new'] },
  ],
  [
    'a purge of the properties',
    { old: '1' },
    (images) => images.update(imageId, { properties: { b: '2' } }),
    { b: '2', tags: ['\u00e4'] },
  ],
];

for (const [name, given, other, after] of changes) {
  test(`${name} while a tag is added is made after it`, async (t) => {
    let others: Promise<unknown> | undefined;
    const { images, image } = await changeable(t, given, {
      onRead() {
        others ??= other(images);
      },
    });
    await images.addTag(imageId, '\u00e4');
    await others;
    assert.deepEqual(image(), wireImage(after));
  });
}

test('two updates at the same time that purge each leave one of both declarations, and not an error', async (t) => {
  const { images, image } = await changeable(t, {});
  await Promise.all(['a', 'b'].map((key) => images.update(imageId, { properties: { [key]: '1' } })));
  assert.deepEqual(image(), wireImage({ b: '1' }));
});

test('a change that waits for another one of its image ends when it is aborted, and a later one is made', async (t) => {
  const { promise: asked, resolve } = Promise.withResolvers<ServerResponse>();
  const { images, writes } = await openStub(t, {
    answer({ method, url }, response) {
      if (!url?.includes('/tags/')) return false;
      if (url.endsWith('/first')) resolve(response);
      else response.writeHead(204).end();
      return method === 'PUT';
    },
  });
  const first = images.addTag(imageId, 'first');
  const response = await asked;
  const abort = new AbortController();
  const second = assert.rejects(images.addTag(imageId, 'second', { signal: abort.signal }), { name: 'AbortError' });
  const third = images.addTag(imageId, 'third');
  abort.abort();
  await second;
  response.writeHead(204).end();
  await Promise.all([first, third]);
  assert.deepEqual(
    writes(),
    ['first', 'third'].map((tag) => `PUT /images/${imageId}/tags/${tag}`),
  );
});

test('a change that Glance accepts and does not make fails at once', async (t) => {
  const { images, writes } = await openStub(t);
  await assert.rejects(images.update(imageId, { properties: { a: '1' } }), /did not make it: \/a$/);
  assert.equal(writes().length, 1);
});

test('a property that another client adds during a purge is removed, too', async (t) => {
  let isAdded = false;
  const { images, image, change, writes } = await changeable(
    t,
    { old: '1' },
    {
      onChange() {
        if (!isAdded) change({ other: '1' });
        isAdded = true;
      },
    },
  );
  await images.update(imageId, { properties: { ours: '1' } });
  assert.deepEqual(image(), wireImage({ ours: '1' }));
  assert.equal(writes().length, 2);
});

test('a purge fails if there is a new property after each change', async (t) => {
  let added = 0;
  const { images, change, writes } = await changeable(
    t,
    { old: '1' },
    {
      onChange() {
        change({ [`other${added++}`]: '1' });
      },
    },
  );
  await assert.rejects(images.update(imageId, { properties: { ours: '1' } }), InvalidRequest);
  assert.equal(writes().length, 4);
});
