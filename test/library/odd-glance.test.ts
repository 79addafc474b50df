/** Responses of image services, and of what stands in front of them, that no real Glance of the tests sends. */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import {
  Conflict,
  GlanceConnectionFailed,
  GlanceUnavailable,
  ImageNotAuthorized,
  NotAuthorized,
} from '../../src/glance/errors.ts';
import type { ConnectedImageService } from '../../src/library/connect.ts';
import type { JsonObject, JsonValue } from '../../src/openstack/json.ts';
import { imageId, wireImage } from '../glance/model.ts';
import { reply } from '../openstack/stub.ts';
import { type Answer, openStub } from './stub-glance.ts';

async function drain(items: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of items);
}

test('a 409 for the creation of an image that does not exist is a Conflict with the message of Glance', async (t) => {
  const answer: Answer = ({ method, url }, response) => {
    if (method === 'POST') reply(response, 409, { message: 'the proxy is confused' });
    else if (url?.startsWith('/v2/images/')) reply(response, 404, { message: 'no image' });
    else return false;
    return true;
  };
  const { images } = await openStub(t, { answer });
  await assert.rejects(images.create({ name: 'x' }), (error) => {
    assert.ok(error instanceof Conflict, `${error}`);
    assert.match(error.message, /the proxy is confused/);
    return true;
  });
});

test('a 409 for the creation of an image that exists means that the first response was lost', async (t) => {
  const answer: Answer = ({ method }, response) => {
    if (method !== 'POST') return false;
    reply(response, 409, { message: 'it exists' });
    return true;
  };
  const { images } = await openStub(t, {
    answer: (request, response) => answer(request, response) || asked(request.url, response),
  });
  function asked(url: string | undefined, response: Parameters<Answer>[1]): boolean {
    if (!/^\/v2\/images\/./.test(url ?? '')) return false;
    reply(response, 200, wireImage({ name: 'x' }));
    return true;
  }
  assert.equal((await images.create({ name: 'x' })).name, 'x');
});

const aboutImage: [name: string, act: (images: ConnectedImageService) => Promise<unknown>][] = [
  ['show', (images) => images.show(imageId)],
  ['update', (images) => images.update(imageId, { name: 'x' })],
  ['delete', (images) => images.delete(imageId)],
  ['deactivate', (images) => images.deactivate(imageId)],
  ['addTag', (images) => images.addTag(imageId, 'x')],
  ['download', (images) => images.download(imageId)],
  ['upload', (images) => images.update(imageId, {}, { data: Buffer.from('x') })],
  ['stage', (images) => images.stage(imageId, Buffer.from('x'))],
  ['listMembers', (images) => images.listMembers(imageId)],
];
const rejectAll: Answer = (_, response) => {
  reply(response, 401, { message: 'who are you' });
  return true;
};
for (const [name, act] of aboutImage) {
  test(`credentials of clouds.yaml that Glance rejects are ImageNotAuthorized in the first ${name}, and need a change`, async (t) => {
    const { images } = await openStub(t, { answer: rejectAll });
    await assert.rejects(act(images), (error) => {
      assert.ok(error instanceof ImageNotAuthorized, `${error}`);
      assert.deepEqual([error.httpStatus, error.code], [401, 'CredentialsInvalid']);
      return true;
    });
  });
}

test('credentials of clouds.yaml that Glance rejects are NotAuthorized in calls that are not about one image', async (t) => {
  const { images } = await openStub(t, { answer: rejectAll });
  for (const act of [() => images.create({}), () => drain(images.detail()), () => images.getStores()]) {
    await assert.rejects(act, (error) => error instanceof NotAuthorized && !(error instanceof ImageNotAuthorized));
  }
});

for (const created_at of ['junk', '', '2026-13-45T00:00:00Z']) {
  test(`an image with the time ${JSON.stringify(created_at)} is a malformed response, not an image with an invalid Date`, async (t) => {
    const { images } = await openStub(t, { image: { created_at } });
    await assert.rejects(images.show(imageId), GlanceUnavailable);
    await assert.rejects(drain(images.detail()), GlanceUnavailable);
  });
}

test('an owner that is null is sent at the creation, because it is another image than one without an owner', async (t) => {
  const { images, bodies, requests } = await openStub(t);
  await images.create({ name: null, diskFormat: null, containerFormat: null, owner: null });
  const body = JSON.parse(bodies[requests.indexOf('POST /images')] ?? '');
  assert.deepEqual(Object.keys(body).sort(), ['id', 'owner']);
  assert.equal(body.owner, null);
});

for (const value of [
  '12345678901234567890',
  '[{"device":"sda","size":12345678901234567890}]',
  '1e999',
  'null',
  '0.12345678901234567890123',
]) {
  test(`the mapping ${value}, which JavaScript cannot hold exactly, is shown as its text, and giving it back changes nothing`, async (t) => {
    const { images, writes } = await openStub(t, { image: { mappings: value, block_device_mapping: value } });
    const shown = await images.show(imageId);
    assert.deepEqual(shown.properties, { mappings: value, block_device_mapping: value });
    await images.update(imageId, { ...shown });
    assert.deepEqual(writes(), []);
  });
}

for (const value of ['-0', '[-0, 1]', '[{"a":-0.0}]']) {
  test(`the mapping ${value} is shown without its sign, and giving it back changes nothing`, async (t) => {
    const { images, writes } = await openStub(t, { image: { mappings: value } });
    const shown = await images.show(imageId);
    assert.deepEqual(shown.properties, { mappings: JSON.parse(value.replaceAll('-', '')) });
    await images.update(imageId, { ...shown });
    await images.update(imageId, { properties: { mappings: JSON.parse(value) } });
    assert.deepEqual(writes(), []);
  });
}

const withoutBody: [name: string, act: (images: ConnectedImageService) => Promise<unknown>][] = [
  ['delete', (images) => images.delete(imageId)],
  ['deactivate', (images) => images.deactivate(imageId)],
  ['reactivate', (images) => images.reactivate(imageId)],
  ['addTag', (images) => images.addTag(imageId, 'x')],
  ['removeTag', (images) => images.removeTag(imageId, 'x')],
  ['removeMember', (images) => images.removeMember(imageId, 'p')],
  ['importImage', (images) => images.importImage(imageId, { method: { name: 'glance-direct' } })],
  ['copyToStores', (images) => images.copyToStores(imageId, 'all')],
  ['deleteFromStore', (images) => images.deleteFromStore(imageId, 'fast')],
  ['stage', (images) => images.stage(imageId, Buffer.from('x'))],
  ['upload', (images) => images.update(imageId, {}, { data: Buffer.from('x') })],
  ['create with data', (images) => images.create({ id: imageId }, { data: Buffer.from('x') })],
];
const pages: [name: string, type: string, body: string][] = [
  ['a page', 'text/html; charset=utf-8', '<html><title>Sign in</title></html>'],
  ['text', 'text/plain', 'Sign in'],
  ['a page that is called JSON', 'application/json', '<html></html>'],
];
const image = { disk_format: 'raw', container_format: 'bare' };

for (const [name, act] of withoutBody) {
  test(`${name} fails when a portal responds to it with a page, and not Glance`, async (t) => {
    for (const [what, type, body] of pages) {
      const { images } = await openStub(t, {
        image,
        answer({ method, url }, response) {
          // The record of the image is created before.
          if (method === 'GET' || url === '/v2/images') return false;
          response.writeHead(200, { 'content-type': type }).end(body);
          return true;
        },
      });
      await assert.rejects(act(images), (error) => {
        assert.ok(error instanceof GlanceUnavailable, `${what}: ${error}`);
        assert.match(error.message, /is malformed: its response is not JSON/);
        return true;
      });
    }
  });

  test(`${name} succeeds with every response that Glance sends to it`, async (t) => {
    // WebOb, in Glance, calls also an empty body a page, and earlier versions have some other status or body.
    for (const [status, type, body] of [
      [204, undefined, ''],
      [202, 'text/html; charset=UTF-8', ''],
      [200, 'text/html', '\n'],
      [200, 'application/json', '{}'],
    ] as const) {
      let isFilled = false;
      const { images } = await openStub(t, {
        image: { ...image, size: 1 },
        answer({ method, url }, response) {
          if (method === 'GET' || url === '/v2/images') {
            if (!isFilled || url !== `/v2/images/${imageId}`) return false;
            reply(response, 200, wireImage({ ...image, status: 'active', size: 1 }));
            return true;
          }
          isFilled = url?.endsWith('/file') === true;
          response.writeHead(status, type === undefined ? {} : { 'content-type': type }).end(body);
          return true;
        },
      });
      await act(images);
    }
  });
}

/** A Glance whose response to an upload is `lost`, and that then has the image with these attributes. */
function losing(lost: (response: ServerResponse) => void, attributes: JsonObject): Answer {
  let isUploaded = false;
  return ({ method, url }, response) => {
    if (url?.endsWith('/file')) {
      isUploaded = true;
      lost(response);
      return true;
    }
    if (!isUploaded || method !== 'GET') return false;
    reply(response, 200, wireImage({ ...image, ...attributes }));
    return true;
  };
}
const losses: [name: string, lose: (response: ServerResponse) => void][] = [
  ['is lost', (response) => void response.socket?.destroy()],
  ['is that of a gateway', (response) => reply(response, 504, {})],
  ['is a page', (response) => void response.end('<html></html>')],
];

for (const [name, lose] of losses) {
  test(`data is not sent again if the response to its upload ${name}, and an image that was created for it is removed`, async (t) => {
    const kind = name === 'is lost' ? GlanceConnectionFailed : GlanceUnavailable;
    const open = () => openStub(t, { image, answer: losing(lose, { status: 'active', size: 5 }) });
    const upload = `PUT /images/${imageId}/file`;
    const data = Buffer.from('bytes');
    // The data in Glance can be that of another client, of the same size.
    const changed = await open();
    await assert.rejects(changed.images.update(imageId, {}, { data }), kind);
    assert.deepEqual(changed.writes(), [upload]);
    const created = await open();
    await assert.rejects(created.images.create({}, { data }), kind);
    assert.deepEqual(created.writes(), ['POST /images', upload, `DELETE /images/${imageId}`]);
  });

  test(`an upload whose response ${name} has failed whatever Glance has`, async (t) => {
    for (const attributes of [
      { status: 'active', size: 4 },
      { status: 'active', size: null },
      { status: 'saving', size: 5 },
      { status: 'queued', size: null },
    ]) {
      const { images } = await openStub(t, { image, answer: losing(lose, attributes) });
      const kind = name === 'is lost' ? GlanceConnectionFailed : GlanceUnavailable;
      await assert.rejects(images.update(imageId, {}, { data: Buffer.from('bytes') }), kind);
    }
  });
}

test('a response that shows another image than was requested is malformed', async (t) => {
  const other = '6b1fd7a2-0000-4000-8000-00000000000b';
  const { images, writes } = await openStub(t, {
    answer({ method, url }, response) {
      if (method === 'POST' || url === `/v2/images/${imageId}`) reply(response, 200, { ...wireImage(), id: other });
      return method === 'POST' || url === `/v2/images/${imageId}`;
    },
  });
  await assert.rejects(images.show(imageId), GlanceUnavailable);
  await assert.rejects(images.update(imageId, { name: 'other' }), GlanceUnavailable);
  await assert.rejects(images.create({}, { data: Buffer.from('bytes') }), GlanceUnavailable);
  assert.deepEqual(writes(), ['POST /images']);
});

test('a creation whose response shows another image fails, and nothing is done to that image', async (t) => {
  const other = '6b1fd7a2-0000-4000-8000-00000000000b';
  const { images, writes } = await openStub(t, {
    answer({ method }, response) {
      if (method === 'POST') reply(response, 201, { ...wireImage(), id: other });
      return method === 'POST';
    },
  });
  await assert.rejects(images.create({}), GlanceUnavailable);
  assert.deepEqual(writes(), ['POST /images', `DELETE /images/${imageId}`]);
});

test('a change whose response shows another image fails', async (t) => {
  const { images } = await openStub(t, {
    answer({ method }, response) {
      if (method === 'PATCH')
        reply(response, 200, { ...wireImage({ name: 'x' }), id: '6b1fd7a2-0000-4000-8000-00000000000b' });
      return method === 'PATCH';
    },
  });
  await assert.rejects(images.update(imageId, { name: 'x' }), GlanceUnavailable);
});

test('an id that Glance writes in capitals is the same id', async (t) => {
  const shown = { ...wireImage({ name: 'x' }), id: imageId.toUpperCase() };
  const { images } = await openStub(t, {
    answer({ method, url }, response) {
      const isImage = method === 'POST' || url === `/v2/images/${imageId}`;
      if (isImage) reply(response, 200, shown);
      return isImage;
    },
  });
  for (const act of [
    () => images.show(imageId),
    () => images.create({ name: 'x' }),
    () => images.update(imageId, { name: 'x' }),
  ])
    assert.equal((await act()).id, shown.id);
});

test('a tag that fits into a path is not lost where another one needs all tags to be sent', async (t) => {
  let tags = ['old'];
  let others: Promise<unknown> | undefined;
  const { images, bodies } = await openStub(t, {
    answer({ method, url = '' }, response) {
      const [, tag] = /\/tags\/(.*)$/.exec(url) ?? [];
      if (tag !== undefined) {
        tags = method === 'PUT' ? [...tags, tag] : tags.filter((one) => one !== tag);
        response.writeHead(204).end();
        return true;
      }
      if (url !== `/v2/images/${imageId}`) return false;
      if (method === 'PATCH') tags = JSON.parse(bodies.at(-1) ?? '')[0].value;
      reply(response, 200, wireImage({ tags }));
      // The tags that were read are to be sent with another one.
      others ??= Promise.all([images.addTag(imageId, 'plain'), images.removeTag(imageId.toUpperCase(), 'old')]);
      return true;
    },
  });
  await images.addTag(imageId, 'a/b');
  await others;
  assert.deepEqual(tags.toSorted(), ['a/b', 'plain']);
});

test('tags that are added and removed by calls at the same time are all added and removed', async (t) => {
  let tags: JsonValue = ['old/1', 'old/2'];
  const { images, bodies } = await openStub(t, {
    answer({ method, url }, response) {
      if (url !== `/v2/images/${imageId}`) return false;
      if (method === 'PATCH') tags = JSON.parse(bodies.at(-1) ?? '')[0].value;
      reply(response, 200, wireImage({ tags }));
      return true;
    },
  });
  const abort = new AbortController();
  const first = images.addTag(imageId, 'ä');
  const aborted = assert.rejects(images.addTag(imageId, 'ö', { signal: abort.signal }), { name: 'AbortError' });
  abort.abort();
  await Promise.all([first, aborted, images.addTag(imageId, 'ü'), images.removeTag(imageId, 'old/1')]);
  assert.deepEqual(tags, ['old/2', 'ä', 'ü']);
});
