/** Images that existed before their resources, on the real Glance: observed without a write, and taken over by a mark alone. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { apiVersion, kind, reconcileAtAnnotation } from '../../src/api/group.ts';
import { clusterProperty, ownerProperty } from '../../src/image/model/identity.ts';
import { qcow2, raw } from '../env/images.ts';
import { folders } from '../env/parts.mjs';
import type { ImageRecord, Project } from '../env/project.ts';
import { changesSomething, type FaultProxy, type ProxiedRequest, startProxy } from '../env/proxy.ts';
import { connectStack } from '../env/stack.ts';
import { eventually } from '../env/wait.ts';
import { catalogue, commandOf } from './catalogue.ts';
import { digestOf } from './digest.ts';
import { everyKind, withoutData } from './every-kind.ts';
import { messageOf, World } from './world.ts';

const isList = ({ method, path }: ProxiedRequest) => method === 'GET' && path.startsWith('/v2/images?');
const isRead = ({ method, path }: ProxiedRequest) => method === 'GET' && path.startsWith('/v2/images/');
const data = raw(4096);
const locationsSchema = z.array(z.looseObject({ url: z.string() }));

/** What Glance shows in no particular order. */
const sorted = ({ tags, stores, locations }: Pick<ImageRecord, 'tags'> & Record<string, unknown>) => ({
  tags: tags.toSorted(),
  stores: String(stores).split(',').sort(),
  locations: locationsSchema.parse(locations).toSorted((a, b) => (a.url < b.url ? -1 : 1)),
});

async function begin(): Promise<{ world: World; glance: FaultProxy }> {
  const stack = await connectStack();
  const glance = await startProxy({ url: stack.openstack.imageUrl });
  const world = await World.create({ stack, clouds: { imageUrl: glance.url } });
  return { world, glance };
}

describe('images that are observed', () => {
  let world: World;
  let glance: FaultProxy;
  let neighbour: Project;
  /** By the name of the resource. */
  const images = new Map<string, ImageRecord>();
  const observe = (name: string, imported: object, more: object = {}) =>
    world.apply(name, { managementPolicy: 'Observe', import: imported, interval: '10s', ...more });
  const idOf = (name: string) => images.get(name)?.id ?? '';

  before(async () => {
    ({ world, glance } = await begin());
    const { openstack } = world.stack;
    neighbour = await openstack.createProject('neighbour');
    images.set('own', await world.project.createImage({ name: 'own', visibility: 'private' }, data));
    images.set('hidden', await world.project.createImage({ name: 'hidden', os_hidden: true }, data));
    images.set('community', await neighbour.createImage({ name: 'look', visibility: 'community' }, data));
    const shared = await neighbour.createImage({ name: 'look', visibility: 'shared' }, data);
    (await neighbour.image('POST', `/v2/images/${shared.id}/members`, { member: world.project.id })).ok();
    images.set('shared', shared);
    for (const name of images.keys()) await observe(name, { id: idOf(name) });
  });
  after(async () => {
    await world[Symbol.asyncDispose]();
    await glance[Symbol.asyncDispose]();
  });

  test('own, hidden, community and not yet accepted shared images are shown, and drift checks are lists without a write', async () => {
    for (const name of images.keys()) {
      const { status, metadata } = await world.reason(name, 'NotCompared');
      assert.deepEqual([status.imageID, status.image?.status, metadata.finalizers], [idOf(name), 'active', []], name);
    }
    // Events are sent after the status.
    await world.untilEvents('NotCompared', images.size);
    const { audit } = world.stack.kubernetes;
    const mark = await audit.mark();
    const from = glance.requests.length;
    const lists = () => glance.requests.slice(from).filter(isList);
    await eventually(
      () => lists().length >= 6,
      () => `${lists().length} lists`,
    );
    const calls = glance.requests.slice(from);
    assert.deepEqual([calls.filter(isRead), glance.requests.filter(changesSomething)], [[], []]);
    assert.deepEqual(await audit.writes(world.user, mark), []);
    for (const { path } of lists()) {
      const query = new URLSearchParams(path.slice(path.indexOf('?')));
      assert.deepEqual([query.get('visibility'), query.get('member_status')], ['all', 'all'], path);
    }
  });

  test("a filter finds the own image, and another project's only by its owner", async () => {
    await observe('by-name', { filter: { name: 'own' } });
    await observe('look-alike', { filter: { name: 'look' } });
    await observe('by-owner', { filter: { name: 'look', owner: neighbour.id, visibility: 'shared' } });
    await observe('ambiguous', { filter: { name: 'look', owner: neighbour.id } });
    await observe('newest', { filter: { name: 'look', owner: neighbour.id }, select: 'Newest' });
    assert.equal((await world.reason('by-name', 'NotCompared')).status.imageID, idOf('own'));
    assert.equal((await world.reason('by-owner', 'NotCompared')).status.imageID, idOf('shared'));
    await world.reason('look-alike', 'ImportNotFound');
    const message = messageOf(await world.reason('ambiguous', 'ImportAmbiguous'));
    for (const name of ['community', 'shared']) assert.ok(message.includes(idOf(name)), message);
    // Of images of the same second, the greatest ID counts.
    const [newest] = ['community', 'shared']
      .map((name) => images.get(name) ?? assert.fail())
      .sort((a, b) => (`${a.created_at} ${a.id}` < `${b.created_at} ${b.id}` ? 1 : -1));
    assert.equal((await world.reason('newest', 'NotCompared')).status.imageID, newest?.id);
  });

  test('a change of an observed image is shown, and one that is deleted has vanished', async () => {
    await world.patchImage(idOf('own'), [{ op: 'add', path: '/os_distro', value: 'debian' }]);
    await world.until('own', 'seen again', ({ status }) => status.image?.properties['os_distro'] === 'debian');
    (await neighbour.image('DELETE', `/v2/images/${idOf('community')}`)).ok();
    const { status } = await world.reason('community', 'ImportVanished');
    assert.equal(status.imageID, undefined);
  });

  test('a resource that observes an image is deleted at once, and the image stays', async () => {
    await world.delete('hidden');
    await world.gone('hidden');
    assert.equal((await world.project.getImage(idOf('hidden'))).status, 'active');
    assert.deepEqual(glance.requests.filter(changesSomething), []);
  });

  test('an observed image is taken over when its policy becomes Manage', async () => {
    await world.apply('by-name', { managementPolicy: 'Manage', import: { id: idOf('own') }, deletionPolicy: 'Delete' });
    await world.until('by-name', 'taken over', ({ metadata }) => metadata.finalizers.length > 0);
    await world.ready('by-name');
    const mark = (await world.project.getImage(idOf('own')))[ownerProperty];
    assert.match(String(mark), new RegExp(`^${world.namespace}/by-name/[0-9a-f]{32}$`));
  });
});

describe('images that are taken over', () => {
  let world: World;
  let glance: FaultProxy;
  const directory = mkdtempSync(join(tmpdir(), 'existing-'));
  before(async () => {
    ({ world, glance } = await begin());
  });
  after(async () => {
    await world[Symbol.asyncDispose]();
    await glance[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true });
  });

  const adopt = (name: string, id: string, more: object = {}) =>
    world.apply(name, { import: { id }, deletionPolicy: 'Retain', interval: '10s', ...more });

  /** By one command, because each starts a program. */
  async function adoptAll(ids: readonly string[]): Promise<void> {
    const items = ids.map((id, index) => ({
      apiVersion,
      kind,
      metadata: { name: `image-${index}`, namespace: world.namespace },
      spec: {
        cloud: { secretRef: { name: 'openstack' }, name: 'demo' },
        import: { id },
        deletionPolicy: 'Retain',
        interval: '10s',
      },
    }));
    await world.stack.kubernetes.apply(JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  }

  /** Everything that Glance shows of an image, without the mark and without what every change changes. */
  async function unmarked(id: string): Promise<Record<string, unknown>> {
    const { [ownerProperty]: _, [clusterProperty]: __, updated_at: ___, ...rest } = await world.project.getImage(id);
    const { direct_url: direct, ...compared } = rest;
    // It is any of the locations, in the order of the database.
    const isLocation = direct === undefined || JSON.stringify(rest['locations']).includes(JSON.stringify(direct));
    return { ...compared, ...sorted(compared), isLocation };
  }

  /** Runs commands of the client of OpenStack, which takes a second to start, in one process. */
  async function openstack(commands: readonly string[][]): Promise<void> {
    const login = join(directory, 'clouds.yaml');
    writeFileSync(login, await world.project.cloudsYaml());
    const child = spawn(join(folders.python, 'bin/python'), [join(import.meta.dirname, 'openstack_commands.py')], {
      env: { PYTHONPATH: folders.openstackClient, OS_CLIENT_CONFIG_FILE: login, OS_CLOUD: 'demo' },
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    child.stdin.end(commands.map((one) => `${JSON.stringify(one)}\n`).join(''));
    const [shown, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
    assert.equal(code, 0, shown);
  }

  /** Made by the client of OpenStack. By name. */
  async function imagesOfCatalogue(): Promise<Map<string, string>> {
    const disks = { raw: data, qcow2: qcow2(1024 ** 2) };
    for (const [diskFormat, disk] of Object.entries(disks)) writeFileSync(join(directory, diskFormat), disk);
    await openstack(catalogue.map((image) => [...commandOf(image), '--file', join(directory, image.diskFormat)]));
    const made = new Map((await world.images()).map((image) => [image.name, image]));
    return new Map(
      catalogue.map(({ name, properties }) => {
        const image = made.get(name) ?? assert.fail(name);
        const kept = Object.fromEntries(Object.keys(properties).map((key) => [key, image[key]]));
        assert.deepEqual(kept, properties, name);
        return [name, image.id];
      }),
    );
  }

  test('import alone changes exactly the mark of 40 images of catalogues and of every kind of image, also after ten drift checks and a forced one', async () => {
    const kinds = await everyKind(world);
    for (const [name, id] of await imagesOfCatalogue()) kinds.set(name, id);

    const ids = [...kinds.values()];
    const shown = async (id: string) => {
      const [members, file] = ['members', 'file'].map((part) => world.project.image('GET', `/v2/images/${id}/${part}`));
      return { record: await unmarked(id), members: (await members)?.text, file: (await file)?.text };
    };
    const all = async () =>
      new Map(await Promise.all([...kinds].map(async ([name, id]) => [name, await shown(id)] as const)));
    const before = await all();
    const start = glance.requests.length;
    const reasons = new Map([
      ['deactivated', 'Deactivated'],
      ...withoutData.map((name) => [name, 'WaitingForGlance'] as const),
    ]);
    await adoptAll(ids);
    for (const [index, name] of [...kinds.keys()].entries()) {
      const { status } = await world.reason(`image-${index}`, reasons.get(name) ?? 'NotCompared');
      assert.equal(status.imageID, reasons.has(name) ? undefined : ids[index], name);
    }
    const writes = () => glance.requests.slice(start).filter(changesSomething);
    const marked = ids.length - withoutData.length;
    assert.equal(writes().length, marked);
    const from = glance.requests.length;
    // Each list of visible images is followed by one of hidden ones.
    const checks = () => glance.requests.slice(from).filter(isList).length / 2;
    await eventually(
      () => checks() >= 10,
      () => `${checks()} drift checks`,
    );
    for (const index of ids.keys()) await world.annotate(`image-${index}`, reconcileAtAnnotation, 'now');
    for (const index of ids.keys())
      await world.until(`image-${index}`, 'looked at', ({ status }) => status.lastHandledReconcileAt === 'now');
    assert.equal(writes().length, marked);
    assert.deepEqual(await all(), before);
    for (const [index, [name, id]] of [...kinds].entries()) {
      const { [ownerProperty]: mark } = await world.project.getImage(id);
      if (withoutData.includes(name)) assert.equal(mark, undefined, name);
      else assert.match(String(mark), new RegExp(`^${world.namespace}/image-${index}/[0-9a-f]{32}$`));
    }
  });

  test('declared content is read back: right content is ready, and wrong content is reported and left', async () => {
    const { id } = await world.project.createImage({ name: 'golden', disk_format: 'raw' }, data);
    const content = (digest: string) => ({
      image: { diskFormat: 'raw' },
      content: { http: { url: `${world.source.url}/none.raw`, digest, digestOf: 'Image' } },
    });
    const before = await unmarked(id);
    await adopt('wrong', id, content(digestOf(Buffer.from('other'))));
    await world.reason('wrong', 'ContentDiffers');
    assert.deepEqual(await unmarked(id), before);
    assert.equal((await world.project.getImage(id))[ownerProperty], undefined);
    await world.delete('wrong');
    await world.gone('wrong');
    await adopt('right', id, content(digestOf(data)));
    assert.equal((await world.reason('right', 'Ready')).status.imageID, id);

    const next = raw(8192, 'next');
    const url = world.source.add('/next.raw', { body: next });
    const { content: declared, image } = content(digestOf(next));
    await adopt('right', id, { image, content: { http: { ...declared.http, url } } });
    const { status } = await world.until('right', 'renewed', ({ status }) => ![undefined, id].includes(status.imageID));
    await world.reason('right', 'Ready');
    const renewed = await world.project.getImage(status.imageID ?? '');
    assert.deepEqual([renewed.name, renewed.visibility], ['golden', before['visibility']]);
    assert.equal((await world.project.getImage(id)).status, 'active');
  });

  test('an image of another project or with the mark of another resource is rejected, and nothing is written', async () => {
    const neighbour = await world.stack.openstack.createProject('neighbour');
    const theirs = await neighbour.createImage({ name: 'theirs', visibility: 'community' }, data);
    const marked = await world.project.createImage({ name: 'marked', [ownerProperty]: 'other/one/0' }, data);
    const from = glance.requests.length;
    await adopt('theirs', theirs.id);
    await adopt('marked', marked.id);
    for (const name of ['theirs', 'marked']) {
      const { metadata } = await world.reason(name, 'NotAdoptable');
      assert.deepEqual(metadata.finalizers, []);
    }
    assert.deepEqual(glance.requests.slice(from).filter(changesSomething), []);
  });

  test('deletionPolicy Delete deletes a protected image that was taken over, and Retain keeps it', async () => {
    const made = async (name: string) => (await world.project.createImage({ name, protected: true }, data)).id;
    const [deleted, kept] = [await made('deleted'), await made('kept')];
    await adopt('deleted', deleted, { deletionPolicy: 'Delete' });
    await adopt('kept', kept);
    for (const name of ['deleted', 'kept']) {
      await world.ready(name);
      await world.delete(name);
      await world.gone(name);
    }
    const ids = (await world.images()).map(({ id }) => id);
    assert.deepEqual([ids.includes(deleted), ids.includes(kept)], [false, true]);
  });
});
