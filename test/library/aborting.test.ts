/** Creations that are aborted, or whose response is lost: they leave no image behind, and end in time. */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import {
  Conflict,
  GlanceConnectionFailed,
  GlanceUnavailable,
  ImageCorrupted,
  ImageLimitExceeded,
  NotAuthorized,
} from '../../src/glance/errors.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createLifetime } from '../../src/library/lifetime.ts';
import { createImageService } from '../../src/library/service.ts';
import { parseCloud } from '../../src/openstack/clouds.ts';
import { SessionClosed } from '../../src/openstack/errors.ts';
import { openSession } from '../../src/openstack/pool.ts';
import { createVirtualClock } from '../clock.ts';
import { imageId, wireImage } from '../glance/model.ts';
import { reply, serve } from '../openstack/stub.ts';
import { type Answer, openStub } from './stub-glance.ts';

const image = { disk_format: 'raw', container_format: 'bare' };
const bytes = Buffer.from('bytes');
const creations = [
  ['without data', {}],
  ['with data', { data: bytes }],
] as const;

/** A Glance that holds the response to a creation back until `respond`. */
function holding() {
  const { promise: asked, resolve } = Promise.withResolvers<ServerResponse>();
  const answer: Answer = ({ method, url }, response) => {
    if (method !== 'POST' || url !== '/v2/images') return false;
    resolve(response);
    return true;
  };
  return { answer, asked, respond: async () => reply(await asked, 201, wireImage(image)) };
}

for (const [name, options] of creations) {
  test(`a creation ${name} that is aborted before its response leaves no image behind`, async (t) => {
    const { answer, asked, respond } = holding();
    const { images, writes } = await openStub(t, { image, answer });
    const abort = new AbortController();
    const reason = new Error('enough');
    const rejected = assert.rejects(images.create({}, { ...options, signal: abort.signal }), reason);
    await asked;
    abort.abort(reason);
    await respond();
    await rejected;
    assert.deepEqual(writes(), ['POST /images', `DELETE /images/${imageId}`]);
  });

  test(`a creation ${name} that the closing of its service ends before its response leaves no image behind`, async (t) => {
    const { answer, asked, respond } = holding();
    const { images, writes } = await openStub(t, { image, answer });
    const rejected = assert.rejects(images.create({}, options), SessionClosed);
    await asked;
    const closed = images.close();
    await respond();
    await closed;
    assert.deepEqual(writes(), ['POST /images', `DELETE /images/${imageId}`]);
    await rejected;
  });

  test(`a creation ${name} that is aborted before it fails rejects with the reason of the abort`, async (t) => {
    const { answer, asked } = holding();
    const { images } = await openStub(t, { image, answer });
    const abort = new AbortController();
    const reason = new Error('enough');
    const rejected = assert.rejects(images.create({}, { ...options, signal: abort.signal }), reason);
    const response = await asked;
    abort.abort(reason);
    reply(response, 413, { message: 'the quota is used up' });
    await rejected;
  });

  for (const [what, lose, kind] of [
    ['is lost', (response: ServerResponse) => void response.socket?.destroy(), GlanceConnectionFailed],
    ['is the page of a portal', (response: ServerResponse) => void response.end('<html></html>'), GlanceUnavailable],
    ['is that of a gateway', (response: ServerResponse) => reply(response, 504, {}), GlanceUnavailable],
  ] as const) {
    test(`a creation ${name} whose response ${what} leaves no image behind`, async (t) => {
      const { images, requests, writes } = await openStub(t, {
        image,
        options: { newId: () => imageId },
        answer({ method, url }, response) {
          if (method !== 'POST' || url !== '/v2/images') return false;
          lose(response);
          return true;
        },
      });
      await assert.rejects(images.create({}, options), kind);
      assert.deepEqual(writes(), ['POST /images', `DELETE /images/${imageId}`]);
      // Another client may have created the image with an id that was given.
      const before = requests.length;
      await assert.rejects(images.create({ id: imageId }, options), kind);
      assert.deepEqual(requests.slice(before), ['POST /images']);
    });
  }
}

for (const [status, kind] of [
  [401, NotAuthorized],
  [403, NotAuthorized],
  [413, ImageLimitExceeded],
] as const) {
  test(`a creation whose first response is lost, and whose second is ${status}, leaves no image behind`, async (t) => {
    let isLost = false;
    const { images, writes } = await openStub(t, {
      image,
      options: { retries: 1 },
      answer({ method }, response) {
        if (method !== 'POST') return false;
        // The image that it has created can be the last one of the quota.
        if (isLost) reply(response, status, { message: 'no' });
        else response.socket?.destroy();
        isLost = true;
        return true;
      },
    });
    await assert.rejects(images.create({}), kind);
    assert.deepEqual(writes(), ['POST /images', 'POST /images', `DELETE /images/${imageId}`]);
  });
}

test('a creation that finds its image, and cannot read it at once, leaves none behind', async (t) => {
  let isRead = false;
  const { images, writes } = await openStub(t, {
    image,
    answer({ method, url }, response) {
      if (method === 'POST') reply(response, 409, { message: 'it exists' });
      else if (method !== 'GET' || url !== `/v2/images/${imageId}` || isRead) return false;
      else {
        isRead = true;
        reply(response, 503, {});
      }
      return true;
    },
  });
  await assert.rejects(images.create({}), GlanceConnectionFailed);
  assert.deepEqual(writes(), ['POST /images', `DELETE /images/${imageId}`]);
});

/** A service of a Glance that stops to respond at `stall`, with a clock of the test for the end of its calls. */
async function openStalling(t: TestContext, stall: RegExp) {
  const { promise: stalled, resolve } = Promise.withResolvers<void>();
  let isStalled = false;
  const url = await serve(t, (request, response) => {
    isStalled ||= stall.test(`${request.method} ${request.url}`);
    if (isStalled) return resolve();
    request.resume();
    if (request.method === 'POST') return reply(response, 201, wireImage(image));
    reply(response, request.url?.startsWith('/v2/schemas') ? 404 : 200, wireImage(image));
  });
  const cloudsYaml = JSON.stringify({ clouds: { demo: { auth_type: 'none', image_endpoint_override: url } } });
  const session = openSession(parseCloud({ cloudsYaml }, 'demo'), { clock: systemClock, random: Math.random });
  t.after(() => session.close());
  const clock = createVirtualClock();
  return { stalled, clock, images: createImageService(session, { newId: () => imageId }, createLifetime(clock)) };
}

for (const [what, stall] of [
  ['the creation', /^POST /],
  ['the upload', /^PUT /],
] as const) {
  test(`a creation that is aborted waits ten seconds for a Glance that stalls in ${what}, and no longer`, async (t) => {
    const { stalled, clock, images } = await openStalling(t, stall);
    const abort = new AbortController();
    const reason = new Error('enough');
    const rejected = assert.rejects(images.create({}, { data: bytes, signal: abort.signal }), reason);
    await stalled;
    abort.abort(reason);
    await clock.advance(10_000);
    await rejected;
  });
}

test('a creation that is aborted before it is sent ends at once', async (t) => {
  const { stalled, images } = await openStalling(t, /^GET .*schemas/);
  const abort = new AbortController();
  const reason = new Error('enough');
  const rejected = assert.rejects(images.create({}, { data: bytes, signal: abort.signal }), reason);
  await stalled;
  abort.abort(reason);
  await rejected;
});

test('a protected image whose creation fails is removed', async (t) => {
  const { images, writes, bodies, requests } = await openStub(t, { image: { ...image, protected: true } });
  async function* broken() {
    yield bytes;
    throw new Error('the disk has died');
  }
  await assert.rejects(images.create({ protected: true }, { data: broken() }), /the disk has died/);
  assert.deepEqual(writes().slice(-2), [`PATCH /images/${imageId}`, `DELETE /images/${imageId}`]);
  assert.deepEqual(JSON.parse(bodies[requests.lastIndexOf(`PATCH /images/${imageId}`)] ?? ''), [
    { op: 'replace', path: '/protected', value: false },
  ]);
});

for (const [name, size, kind] of [
  ['is aborted when all of its data has been sent', 5, undefined],
  ['has other data than was sent', 4, ImageCorrupted],
] as const) {
  test(`an image that ${name} is removed, although it is active`, async (t) => {
    const abort = new AbortController();
    const reason = new Error('enough');
    let isFilled = false;
    const { images, writes } = await openStub(t, {
      image,
      answer({ method, url }, response) {
        if (method === 'PUT') isFilled = true;
        if (method === 'PUT') response.writeHead(204).end();
        else if (!isFilled || method !== 'GET' || url !== `/v2/images/${imageId}`) return false;
        else if (kind === undefined && !abort.signal.aborted) abort.abort(reason);
        else reply(response, 200, wireImage({ ...image, status: 'active', size }));
        return true;
      },
    });
    await assert.rejects(images.create({}, { data: bytes, signal: abort.signal }), kind ?? reason);
    assert.deepEqual(writes().slice(1), [`PUT /images/${imageId}/file`, `DELETE /images/${imageId}`]);
  });
}

for (const status of ['active', 'saving', 'uploading', 'importing', 'deactivated'])
  test(`an image that another client fills while it is created is kept when it is ${status}`, async (t) => {
    const { images, writes } = await openStub(t, { image: { ...image, status, size: 7, protected: true } });
    await assert.rejects(images.create({}, { data: bytes }), Conflict);
    assert.deepEqual(writes(), ['POST /images']);
  });

for (const status of ['active', 'importing', 'deactivated'])
  test(`an image that is ${status} although this creation sent only a part of its data is kept`, async (t) => {
    let isBegun = false;
    const { images, writes } = await openStub(t, {
      answer({ method, url }, response) {
        if (method !== 'GET' || url !== `/v2/images/${imageId}`) return false;
        reply(response, 200, wireImage({ ...image, ...(isBegun ? { status, size: 5 } : {}) }));
        return true;
      },
    });
    async function* broken() {
      isBegun = true;
      yield bytes;
      throw new Error('the disk has died');
    }
    await assert.rejects(images.create({}, { data: broken() }), /the disk has died/);
    assert.ok(!writes().includes(`DELETE /images/${imageId}`));
  });

for (const [what, fields, reject, kind] of [
  ['rejected', {}, (response: ServerResponse) => reply(response, 409, { message: 'not queued' }), Conflict],
  [
    'lost, where its id was given',
    { id: imageId },
    (response: ServerResponse) => void response.socket?.destroy(),
    GlanceConnectionFailed,
  ],
] as const)
  test(`an image is kept that another client fills after the upload of this creation has begun, which is ${what}`, async (t) => {
    let isBegun = false;
    const { images, writes } = await openStub(t, {
      answer({ method, url }, response) {
        if (method === 'PUT') {
          isBegun = true;
          reject(response);
        } else if (method === 'GET' && url === `/v2/images/${imageId}`)
          reply(response, 200, wireImage({ ...image, status: isBegun ? 'saving' : 'queued' }));
        else return false;
        return true;
      },
    });
    await assert.rejects(images.create(fields, { data: bytes }), kind);
    assert.deepEqual(writes(), ['POST /images', `PUT /images/${imageId}/file`]);
  });
