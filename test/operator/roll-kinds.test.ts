/**
 * Rolls and roll backs of images of all kinds on the real servers: shared, public, protected, in several stores, and with data that Glance
 * downloads itself or that is staged.
 *
 * Invariant: each kind rolls as a plain image does, and no roll back downloads anything.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { stringify } from 'yaml';
import { z } from 'zod';
import { reconcileAtAnnotation } from '../../src/api/group.ts';
import { adminPassword } from '../env/bootstrap.ts';
import { raw } from '../env/images.ts';
import { type ImageRecord, imageRecordSchema, type Project } from '../env/project.ts';
import { type Source, startSource } from '../env/source.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { digestOf } from './digest.ts';
import { World } from './world.ts';

const bodies = [raw(64 * 1024), raw(128 * 1024)] as const;
const pageSchema = z.object({ images: z.array(imageRecordSchema) });

interface Kind {
  image?: Record<string, unknown>;
  content?: Record<string, unknown>;
  keep?: number;
  /** The cloud entry of an administrator, because only that may publish and copy images. */
  isAdmin?: true;
}

describe('an image of any kind that rolls on real servers', () => {
  let stack: Stack;
  let source: Source;
  let world: World;
  let consumer: Project;
  let kinds: Readonly<Record<string, Kind>>;
  let firsts: Readonly<Record<string, string>>;
  let seconds: Readonly<Record<string, string>>;
  before(async () => {
    stack = await connectStack();
    source = await startSource({ ports: stack.sourcePorts });
    world = await World.create({ stack });
    consumer = await stack.openstack.createProject();
    const auth = {
      auth_url: stack.openstack.authUrl,
      username: 'admin',
      password: adminPassword,
      project_name: 'admin',
    };
    const domains = { user_domain_id: 'default', project_domain_id: 'default' };
    const admin = { auth: { ...auth, ...domains }, region_name: stack.openstack.region };
    await world.writeSecret('admin', { 'clouds.yaml': stringify({ clouds: { demo: admin } }) });
    kinds = {
      shared: { image: { visibility: 'shared', members: { projects: [consumer.id] } } },
      public: { image: { visibility: 'public' }, isAdmin: true },
      protected: { image: { protected: true }, keep: 0 },
      stores: { image: { stores: ['fast', 'slow'] }, isAdmin: true },
      fetched: { content: { method: 'WebDownload' } },
      staged: { content: { method: 'Stage' } },
    };
  });
  after(async () => {
    await world?.[Symbol.asyncDispose]();
    await source?.stop();
  });

  const nameOf = (kind: string) => `${kind}-${world.namespace}`;
  const pathOf = (kind: string, index: number) => `/${kind}-${index}.raw`;

  /** Every kind at once, so that they wait together. Returns the images to use. */
  async function declare(index: 0 | 1): Promise<Record<string, string>> {
    const body = bodies[index];
    for (const [kind, { image, content, keep = 1, isAdmin }] of Object.entries(kinds)) {
      const http = { url: source.add(pathOf(kind, index), { body }), digest: digestOf(body, 'sha512') };
      await world.apply(kind, {
        ...(isAdmin ? { cloud: { secretRef: { name: 'admin' }, name: 'demo' } } : {}),
        image: { name: nameOf(kind), diskFormat: 'raw', tags: ['golden'], ...image },
        content: { http, ...content },
        revisions: { keep },
      });
    }
    const found = Object.keys(kinds).map(
      async (kind) => [kind, (await world.ready(kind)).status.imageID ?? ''] as const,
    );
    return Object.fromEntries(await Promise.all(found));
  }

  /** Of any project. */
  async function imagesNamed(kind: string): Promise<ImageRecord[]> {
    const mark = `${world.namespace}/${kind}/`;
    const lists = ['false', 'true'].map(async (hidden) => {
      const query = `/v2/images?limit=500&os_hidden=${hidden}&visibility=all`;
      return (await stack.openstack.image('GET', query)).as(pageSchema).images;
    });
    return (await Promise.all(lists))
      .flat()
      .filter((image) => String(image['glance_image_operator_owner']).startsWith(mark));
  }

  async function assertRolled(kind: string, imageID: string, index: 0 | 1): Promise<void> {
    const images = await imagesNamed(kind);
    const current = images.find(({ id }) => id === imageID);
    assert.partialDeepStrictEqual(current, { name: nameOf(kind), status: 'active', os_hidden: false }, kind);
    assert.equal(`sha512:${current?.os_hash_value}`, digestOf(bodies[index], 'sha512'), kind);
    const { image = {}, keep = 1 } = kinds[kind] ?? {};
    const { visibility = 'private', protected: isProtected = false } = image;
    assert.deepEqual([current?.visibility, current?.protected], [visibility, isProtected], kind);
    const others = images.filter(({ id }) => id !== imageID);
    assert.equal(others.length, keep, kind);
    for (const other of others) {
      assert.partialDeepStrictEqual(other, { os_hidden: true, tags: [] }, kind);
      assert.match(other.name ?? '', new RegExp(`^${nameOf(kind)} \\(\\d{4}-\\d\\d-\\d\\d\\)$`));
    }
  }

  test('each kind rolls: the next image is as declared and visible, and the one before is hidden and renamed, or gone with keep: 0', async () => {
    firsts = await declare(0);
    seconds = await declare(1);
    for (const kind of Object.keys(kinds)) {
      assert.notEqual(seconds[kind], firsts[kind], kind);
      await assertRolled(kind, seconds[kind] ?? '', 1);
    }
  });

  test('the next image of a shared one is shared with the same projects, and that of a public one is public', async () => {
    const { shared = '', public: published = '' } = seconds;
    assert.equal((await consumer.image('GET', `/v2/images/${shared}/file`)).status, 200);
    const { status } = await world.ready('shared');
    assert.deepEqual(status.members, [{ project: consumer.id, status: 'pending' }]);
    const byName = (await consumer.image('GET', `/v2/images?name=${nameOf('public')}`)).as(pageSchema);
    assert.deepEqual(
      byName.images.map(({ id }) => id),
      [published],
    );
  });

  test('the next image is in each declared store', async () => {
    const image = (await imagesNamed('stores')).find(({ id }) => id === seconds['stores']);
    assert.deepEqual(String(image?.['stores']).split(',').sort(), ['fast', 'slow']);
  });

  test('each kind goes back to the image before without a download, and a deleted one is made again', async () => {
    const requests = () => source.requests.filter(({ path }) => path.endsWith('-0.raw')).map(({ path }) => path);
    const before = requests();
    const thirds = await declare(0);
    for (const kind of Object.keys(kinds)) {
      await assertRolled(kind, thirds[kind] ?? '', 0);
      const isKept = kinds[kind]?.keep !== 0;
      assert.equal(thirds[kind] === firsts[kind], isKept, kind);
    }
    assert.deepEqual([...new Set(requests().slice(before.length))], [pathOf('protected', 0)]);
  });

  test('a roll for which the quota has no room is reported before anything is downloaded, and goes on when there is room', async () => {
    const body = raw(96 * 1024);
    const path = pathOf('staged', 2);
    const http = { url: source.add(path, { body }), digest: digestOf(body, 'sha512') };
    await world.project.setLimit('image_count_total', (await world.images()).length);
    await world.apply('staged', {
      image: { name: nameOf('staged'), diskFormat: 'raw' },
      content: { http, method: 'Stage' },
    });
    const { status } = await world.reason('staged', 'NoRoomForRevision');
    assert.equal(status.imageID, firsts['staged']);
    assert.ok(source.requests.every((request) => request.path !== path));
    await world.project.setLimit('image_count_total', 100);
    await world.annotate('staged', reconcileAtAnnotation, 'room');
    const { status: after } = await world.ready('staged');
    assert.notEqual(after.imageID, firsts['staged']);
  });

  test('the deletion of the resources deletes all images', async () => {
    for (const kind of Object.keys(kinds)) await world.delete(kind);
    for (const kind of Object.keys(kinds)) {
      await world.gone(kind);
      assert.deepEqual(await imagesNamed(kind), [], kind);
    }
  });
});
