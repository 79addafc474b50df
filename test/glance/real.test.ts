import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { after, before, type TestContext, test } from 'node:test';
import { createImageClient, type ImageClient } from '../../src/glance/client/index.ts';
import {
  Conflict,
  FormatMismatch,
  GlanceConnectionFailed,
  ImageGone,
  ImageLimitExceeded,
  ImageNotAuthorized,
  ImageNotFound,
  InvalidRequest,
  NotAuthorized,
} from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import type { ListFilters } from '../../src/glance/list.ts';
import { diffImage } from '../../src/glance/patch.ts';
import type { WantedImage } from '../../src/glance/translation.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { parseCloud } from '../../src/openstack/clouds.ts';
import { createSession } from '../../src/openstack/session.ts';
import { createTransport } from '../../src/openstack/transport.ts';
import type { Project, ProjectUser } from '../env/project.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { patience } from '../env/wait.ts';

let stack: Stack;

before(async () => {
  stack = await connectStack();
});
after(() => stack.stop());

const signal = () => patience();
const raw: WantedImage = { name: 'raw', diskFormat: 'raw', containerFormat: 'bare', visibility: 'private' };
const mib = 1024 * 1024;

async function clientOf(
  t: TestContext,
  user: ProjectUser = 'member',
): Promise<{ client: ImageClient; project: Project }> {
  const project = await stack.openstack.createProject('client');
  const cloud = parseCloud({ cloudsYaml: await project.cloudsYaml({ user }) }, 'demo');
  const transport = createTransport({ tls: cloud.tls, userAgent: 'glance-image-operator/test', clock: systemClock });
  const session = createSession({ cloud, transport, clock: systemClock, random: Math.random });
  t.after(() => session.close());
  return { client: createImageClient(session, { pageSize: 4 }), project };
}

async function* chunks(size: number, first = Buffer.alloc(0)) {
  yield first;
  for (let left = size - first.length; left > 0; left -= mib) yield Buffer.alloc(Math.min(left, mib), 1);
}

async function listed(client: ImageClient, filters: ListFilters): Promise<Image[]> {
  const images: Image[] = [];
  for await (const image of client.list(filters, signal())) images.push(image);
  return images;
}

test('an image is created under the id that we chose, and reads back as it was wanted', async (t) => {
  const { client, project } = await clientOf(t);
  const id = randomUUID();
  const wanted: WantedImage = {
    name: 'ubuntu',
    diskFormat: 'qcow2',
    containerFormat: 'bare',
    visibility: 'private',
    protected: false,
    hidden: true,
    minDiskGiB: 10,
    minRAMMiB: 512,
    tags: ['lts', 'ubuntu'],
    properties: {
      hw_disk_bus: 'virtio',
      hw_cores: 4,
      flag: true,
      gone: null,
      'a/b~c': 'x',
      constructor: 'y',
      mappings: [{ virtual: 'ami', device: 'sda' }],
    },
  };
  const image = await client.create(id, wanted, signal());
  assert.equal(image.id, id);
  assert.equal(image.status, 'queued');
  assert.equal(image.owner, project.id);
  assert.deepEqual(await client.get(id, signal()), image);
  assert.deepEqual(image.properties['mappings'], [{ virtual: 'ami', device: 'sda' }]);
  assert.deepEqual(diffImage(image, wanted, { purge: true, keep: () => false }), []);
});

test('an id that exists, and one that existed once, are conflicts', async (t) => {
  const { client } = await clientOf(t);
  const id = randomUUID();
  await client.create(id, raw, signal());
  await assert.rejects(client.create(id, raw, signal()), Conflict);
  await client.remove(id, signal());
  await assert.rejects(client.get(id, signal()), ImageNotFound);
  await assert.rejects(client.remove(id, signal()), ImageNotFound);
  await assert.rejects(client.create(id, raw, signal()), (error) => {
    assert.ok(error instanceof Conflict);
    assert.equal(error.httpStatus, 409);
    assert.match(error.message, /^Glance returned 409 for the creation of the image: .*\(req-[0-9a-f-]+\)$/);
    return true;
  });
});

test('a patch with purge makes the image what is wanted, and a second one is empty', async (t) => {
  const { client } = await clientOf(t);
  const id = randomUUID();
  const properties = { stays: '1', changes: '1', goes: '1', kept: '1', '': 'nameless', 'x/~1y': '1', mappings: '[{' };
  const before = await client.create(id, { ...raw, tags: ['old'], properties }, signal());
  const wanted: WantedImage = {
    name: 'new name',
    protected: true,
    hidden: true,
    minDiskGiB: 3,
    tags: ['b', 'a'],
    properties: { stays: '1', changes: 2, 'new/~0': true, mappings: [{ a: 1 }], goes: null },
  };
  const options = { purge: true, keep: (key: string) => key === 'kept' };
  const after = await client.patch(id, diffImage(before, wanted, options), signal());
  assert.deepEqual(diffImage(after, wanted, options), []);
  assert.deepEqual(after.tags, ['a', 'b']);
  assert.deepEqual(after.properties, {
    stays: '1',
    changes: '2',
    'new/~0': 'true',
    mappings: [{ a: 1 }],
    kept: '1',
  });
  assert.deepEqual(await client.get(id, signal()), after);
  // A protected image is not deleted.
  await assert.rejects(client.remove(id, signal()), ImageNotAuthorized);
  await client.patch(id, diffImage(after, { protected: false }, options), signal());
  await client.remove(id, signal());
});

test('a patch of an image changed by another client is a conflict, and no part of it is applied', async (t) => {
  const { client } = await clientOf(t);
  const id = randomUUID();
  const seen = await client.create(id, { ...raw, properties: { a: '1' } }, signal());
  const purge = { purge: true, keep: () => false };
  await client.patch(id, diffImage(seen, { properties: {} }, purge), signal());
  const stale = diffImage(seen, { name: 'other', properties: {} }, purge);
  await assert.rejects(client.patch(id, stale, signal()), Conflict);
  assert.equal((await client.get(id, signal())).name, 'raw');
});

test('an invalid or forbidden request is reported with the message of Glance', async (t) => {
  const { client } = await clientOf(t);
  await assert.rejects(client.create(randomUUID(), { ...raw, diskFormat: 'floppy' }, signal()), (error) => {
    assert.ok(error instanceof InvalidRequest);
    assert.equal(error.httpStatus, 400);
    assert.match(error.message, /floppy/);
    assert.doesNotMatch(error.message, /[<>]/);
    return true;
  });
  await assert.rejects(client.create(randomUUID(), { ...raw, visibility: 'public' }, signal()), NotAuthorized);
  const reader = await clientOf(t, 'reader');
  await assert.rejects(reader.client.create(randomUUID(), raw, signal()), (error) => {
    assert.ok(error instanceof NotAuthorized);
    assert.equal(error.code, 'Forbidden');
    return true;
  });
});

test('an id that is no UUID reaches no server', async (t) => {
  const { client } = await clientOf(t);
  for (const id of ['../schemas/image', '', 'x', `${randomUUID()}/file`, `${randomUUID()}?x`]) {
    await assert.rejects(client.get(id, signal()), InvalidRequest);
    await assert.rejects(client.create(id, raw, signal()), InvalidRequest);
    await assert.rejects(client.remove(id, signal()), InvalidRequest);
  }
});

for (const size of [5 * mib, undefined]) {
  test(`an upload of ${size === undefined ? 'unknown' : 'known'} size makes the image active with the bytes that were sent`, async (t) => {
    const { client } = await clientOf(t);
    const id = randomUUID();
    await client.create(id, raw, signal());
    const sent = createHash('sha512');
    async function* body() {
      for await (const chunk of chunks(5 * mib)) {
        sent.update(chunk);
        yield chunk;
      }
    }
    await client.upload(id, body(), { ...(size === undefined ? {} : { size }), signal: signal() });
    const image = await client.get(id, signal());
    assert.equal(image.status, 'active');
    assert.equal(image.size, 5 * mib);
    assert.deepEqual(image.hash, { algorithm: 'sha512', value: sent.digest('hex') });
    // A second upload is rejected before any of it is read.
    await assert.rejects(
      client.upload(
        id,
        (async function* () {
          yield assert.fail('the body was read');
        })(),
        { signal: signal() },
      ),
      Conflict,
    );
  });
}

const digestIsWrong = new Error('the digest is wrong');
async function* failing() {
  yield* chunks(2 * mib);
  throw digestIsWrong;
}
const incomplete: [name: string, body: () => AsyncIterable<Uint8Array>, size: number | undefined, error: object][] = [
  ['ends early', () => chunks(2 * mib), 3 * mib, { code: 'SourceTooShort' }],
  ['is too long', () => chunks(3 * mib), 2 * mib, { code: 'SourceTooLong' }],
  ['fails', failing, undefined, digestIsWrong],
  ['fails after all of its bytes', failing, 2 * mib, digestIsWrong],
  ['is empty', () => chunks(0), undefined, { code: 'EmptySource' }],
];
for (const [name, body, size, expected] of incomplete) {
  test(`a body that ${name} never makes an image active, and the next one fills it`, async (t) => {
    const { client } = await clientOf(t);
    const id = randomUUID();
    await client.create(id, raw, signal());
    const options = size === undefined ? {} : { size };
    await assert.rejects(client.upload(id, body(), { ...options, signal: signal() }), expected);
    await uploadOnceQueued(client, id);
    const image = await client.get(id, signal());
    assert.deepEqual([image.status, image.size], ['active', mib]);
  });
}

/**
 * Glance needs a moment to notice that an earlier upload is over: till then the next one is a conflict, or ends with 410 where the earlier
 * one has put the status back meanwhile.
 */
function isEarlierUploadOpen(error: unknown): boolean {
  return error instanceof Conflict || error instanceof ImageGone;
}

/** Uploads 1 MiB. */
async function uploadOnceQueued(client: ImageClient, id: string): Promise<void> {
  const deadline = signal();
  for (;;) {
    try {
      return await client.upload(id, chunks(mib), { size: mib, signal: deadline });
    } catch (error) {
      if (!isEarlierUploadOpen(error)) throw error;
      assert.notEqual((await client.get(id, deadline)).status, 'active');
      await systemClock.sleep(20, deadline);
    }
  }
}

test('data in another format than declared is a FormatMismatch', async (t) => {
  const { client } = await clientOf(t);
  const id = randomUUID();
  await client.create(id, { ...raw, diskFormat: 'qcow2' }, signal());
  await assert.rejects(client.upload(id, chunks(2 * mib), { size: 2 * mib, signal: signal() }), (error) => {
    assert.ok(error instanceof FormatMismatch);
    assert.equal(error.httpStatus, 415);
    assert.match(error.message, /^Glance returned 415 for the upload: /);
    return true;
  });
});

test('a used up quota is an ImageLimitExceeded, even with most of the data unsent', async (t) => {
  const { client, project } = await clientOf(t);
  await project.setLimit('image_size_total', 1);
  const id = randomUUID();
  await client.create(id, raw, signal());
  let read = 0;
  async function* body() {
    for await (const chunk of chunks(256 * mib)) {
      read += chunk.length;
      yield chunk;
    }
  }
  const rejected = async (deadline: AbortSignal): Promise<unknown> => {
    for (;;) {
      read = 0;
      try {
        await client.upload(id, body(), { size: 256 * mib, signal: deadline });
        return undefined;
      } catch (error) {
        // A server that closes the connection with unread data resets it, and the reset may come before its response is read.
        if (!(error instanceof GlanceConnectionFailed || isEarlierUploadOpen(error))) return error;
        await systemClock.sleep(20, deadline);
      }
    }
  };
  const error = await rejected(signal());
  assert.ok(error instanceof ImageLimitExceeded, String(error));
  assert.equal(error.code, 'QuotaExceeded');
  assert.match(error.message, /^Glance returned 413 for the upload: .*image_size_total.*\(req-[0-9a-f-]+\)$/);
  assert.ok(read < 256 * mib);
  await project.setLimit('image_size_total', 1000);
  await uploadOnceQueued(client, id);
  assert.equal((await client.get(id, signal())).status, 'active');
});

test('a list is walked page by page, by properties, tags and times, hidden images apart', async (t) => {
  const { client, project } = await clientOf(t);
  const mark = randomUUID();
  const ids: string[] = [];
  const many = 14;
  const one = async (index: number) => {
    const id = randomUUID();
    const tags = ['all', index % 2 === 0 ? 'even' : 'odd'];
    const hidden = index === 0;
    await client.create(id, { ...raw, name: `image ${index}`, hidden, tags, properties: { mark } }, signal());
    if (!hidden) ids.push(id);
  };
  await Promise.all(
    [0, 1, 2, 3].map(async (lane) => {
      for (let index = lane; index < many; index += 4) await one(index);
    }),
  );
  const all = await listed(client, { properties: { mark } });
  assert.deepEqual(new Set(all.map(({ id }) => id)), new Set(ids));
  assert.equal(all.length, many - 1);
  assert.equal((await listed(client, { properties: { mark }, hidden: true })).length, 1);
  assert.equal((await listed(client, { properties: { mark }, tags: ['all', 'odd'] })).length, many / 2);
  assert.equal((await listed(client, { properties: { mark }, name: 'image 7', owner: project.id })).length, 1);
  assert.equal((await listed(client, { properties: { mark: 'another' } })).length, 0);

  const last = all.at(-1);
  assert.ok(last !== undefined);
  const since = all.filter(({ updatedAt }) => updatedAt >= last.updatedAt);
  const updatedSince = new Date(last.updatedAt);
  assert.deepEqual(
    (await listed(client, { properties: { mark }, updatedSince })).map(({ id }) => id),
    since.map(({ id }) => id),
  );
});

test('images that vanish during a list do not hide other images', async (t) => {
  const { client } = await clientOf(t);
  const mark = randomUUID();
  const created: string[] = [];
  for (let index = 0; index < 7; index++) {
    const id = randomUUID();
    await client.create(id, { ...raw, properties: { mark } }, signal());
    created.push(id);
  }
  const seen: string[] = [];
  for await (const { id } of client.list({ properties: { mark } }, signal())) {
    seen.push(id);
    // The last of the first page is the marker of the next.
    if (seen.length === 4) for (const gone of seen.slice(-3)) await client.remove(gone, signal());
  }
  assert.deepEqual(new Set(seen), new Set(created));
  assert.equal(seen.length, created.length);
});
