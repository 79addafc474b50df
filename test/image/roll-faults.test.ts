/** What goes wrong around a roll: images in use, ConfigMaps that cannot be written, clocks that jump, and a status that is lost. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findCondition } from '../../src/api/conditions.ts';
import { imageIDOf } from '../../src/image/model/identity.ts';
import type { Publication, PublishedData } from '../../src/image/model/revisions.ts';
import type { OwnConfigMaps } from '../../src/image/perform/config-maps.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { uid } from './resource.ts';
import { createWorld, type World } from './world.ts';
import { sha256, sha512, specOf } from './world-glance.ts';

const [first = '', second = '', third = ''] = [0, 1, 2].map((number) => imageIDOf(uid, number));
const hour = 3_600_000;

async function started(image: Record<string, unknown> = {}, more: Record<string, unknown> = {}): Promise<World> {
  const world = createWorld({ spec: specOf('a', image, more) });
  await world.settle();
  assert.equal(world.ready(), 'True Ready');
  return world;
}

function states(world: World): string[] {
  return (world.status?.revisions ?? []).map(({ number, state }) => `${number} ${state}`);
}

/** A ConfigMap in memory, which may belong to another owner or be unreadable. */
function configMapsIn(start: Publication) {
  const at = { seen: start };
  const maps: OwnConfigMaps = {
    read: async () => at.seen,
    write: async (_, data) => {
      at.seen = { kind: 'own', data, isMarked: true };
    },
    remove: async () => {
      at.seen = { kind: 'absent' };
    },
  };
  const data = (): PublishedData | undefined => (at.seen.kind === 'own' ? at.seen.data : undefined);
  return { at, maps, data };
}

const publish = { publish: { configMapRef: { name: 'images' } } };

test('a retired image whose deletion Glance rejects is as protected as before', async () => {
  for (const protection of [{ protected: true }, {}]) {
    const world = await started(protection);
    if (protection.protected !== true) world.meddle(first, { protected: true });
    world.inUse.add(first);
    world.edit(specOf('b', protection, { revisions: { keep: 0 } }));
    await world.settle();
    assert.deepEqual([world.ready(), states(world)], ['True Ready', ['0 InUse', '1 Current']]);
    assert.equal(world.images.get(first)?.protected, true);
  }
});

test('a process that ends while a protected image is deleted leaves it protected if Glance rejects the deletion', async () => {
  const world = await started({ protected: true });
  world.inUse.add(first);
  world.edit(specOf('b', { protected: true }, { revisions: { keep: 0 } }));
  let isCrashed = false;
  world.decide(({ op, id }) => {
    const isUnprotected = world.images.get(first)?.protected === false;
    if (isCrashed || op !== 'delete' || id !== first || !isUnprotected) return 'ok';
    isCrashed = true;
    return 'crash-before';
  });
  await world.settle();
  assert.deepEqual([isCrashed, world.ready(), world.images.get(first)?.protected], [true, 'True Ready', true]);
});

test('an image of a resource that is deleted is protected again while Glance rejects its deletion', async () => {
  const world = await started({ protected: true });
  world.inUse.add(first);
  world.delete();
  await world.step();
  assert.equal(world.images.get(first)?.protected, true);
  world.inUse.clear();
  await world.settle();
  assert.deepEqual([world.resource, world.images.size], [undefined, 0]);
});

test('a visible image with wrong data is deleted only if Nova knows no server of it, and a hidden one that was never the one to use always', async () => {
  const comparable = (data: string) => {
    const digest = `sha512:${sha512(data)}`;
    return {
      content: { http: { url: 'https://example.com/a', digest, digestOf: 'Image' } },
      image: { diskFormat: 'raw' },
    };
  };
  const world = createWorld({ spec: comparable('a') });
  world.serve(() => new OperatorError('not there', { code: 'SourceNotFound' }));
  await world.settle(2);
  world.fill(first, 'other');
  world.serverImages.add(first);
  world.serve(() => 'a');
  await world.settle();
  assert.equal(world.status?.imageID, second);
  assert.deepEqual(states(world), ['0 InUse', '1 Current']);
  assert.equal(world.images.get(first)?.hidden, true);

  world.serve(() => new OperatorError('not there', { code: 'SourceNotFound' }));
  world.edit(comparable('c'));
  await world.settle(2);
  world.fill(third, 'other');
  world.serverImages.add(third);
  world.serve(() => 'c');
  await world.settle();
  assert.equal(world.ready(), 'True Ready');
  assert.ok(!world.images.has(third), world.show().join(', '));
});

test('where Nova does not respond, a bounded number of revisions is made, and the message says why and what helps', async () => {
  const world = await started();
  const refused = new OperatorError('HTTP 403: Policy does not allow it', { code: 'Forbidden', httpStatus: 403 });
  world.decide(({ op }) => (op === 'servers' ? refused : 'ok'));
  // No earlier revision has this data in this format.
  const formats = ['raw', 'qcow2', 'vhd', 'vmdk', 'vdi', 'iso', 'ploop'];
  for (let index = 1; index < 28 && world.ready() === 'True Ready'; index++) {
    const data = ['a', 'b', 'c', 'd'][index % 4] ?? '';
    world.edit(specOf(data, { diskFormat: formats[index % 7] }, { revisions: { keep: 0 } }));
    await world.settle(8);
    await world.clock.advance(1000);
  }
  assert.equal(world.ready(), 'False RevisionsInUse');
  const warning = findCondition(world.status?.conditions, 'Warning');
  assert.match(`${warning?.reason} ${warning?.message}`, /^UseUnknown .*HTTP 403/);
  assert.equal(world.images.size, 17);
  assert.match(world.message() ?? '', /not known whether servers use them \(.*HTTP 403: Policy does not allow it\)/);
  assert.match(world.message() ?? '', /Let the credentials list the servers of their project in Nova/);
  assert.equal(findCondition(world.status?.conditions, 'Available')?.status, 'True');
  world.decide(() => 'ok');
  await world.clock.advance(2 * hour);
  await world.settle();
  assert.deepEqual([world.ready(), world.images.size], ['True Ready', 1]);
});

test('a ConfigMap of another owner keeps the next image neither from its name nor from its place, and is reported', async () => {
  const foreign = configMapsIn({ kind: 'foreign', why: 'exists and has no owner' });
  const world = createWorld({ spec: specOf('a'), configMaps: foreign.maps });
  await world.settle();
  world.edit(specOf('b', {}, { ...publish, revisions: { keep: 0 } }));
  await world.settle(6);
  assert.equal(world.ready(), 'False ConfigMapNotOwned');
  assert.deepEqual(world.show(), ['fd16 ubuntu active visible b marked']);
  assert.equal(world.status?.imageID, second);
  foreign.at.seen = { kind: 'absent' };
  await world.settle();
  assert.deepEqual([world.ready(), foreign.data()?.['imageID']], ['True Ready', second]);
});

test('while a ConfigMap cannot be read, the next image has its name, and the one that it may name stays', async () => {
  const shown = configMapsIn({ kind: 'absent' });
  const world = createWorld({ spec: specOf('a', {}, publish), configMaps: shown.maps });
  await world.settle();
  const { seen } = shown.at;
  shown.at.seen = { kind: 'unreadable', error: new OperatorError('no right', { code: 'PublishForbidden' }) };
  world.edit(specOf('b', {}, { ...publish, revisions: { keep: 0 } }));
  await world.settle(6);
  assert.equal(world.ready(), 'False PublishForbidden');
  assert.deepEqual(world.show(), [
    '4beb ubuntu (2026-01-02) active hidden a marked',
    'fd16 ubuntu active visible b marked',
  ]);
  shown.at.seen = seen;
  await world.settle();
  assert.deepEqual(
    [world.ready(), world.show(), shown.data()?.['imageID']],
    ['True Ready', ['fd16 ubuntu active visible b marked'], second],
  );
});

test('a ConfigMap does not name an image whose data was found to be wrong, or that is gone', async () => {
  for (const harm of ['wrong', 'gone']) {
    const shown = configMapsIn({ kind: 'absent' });
    const world = createWorld({ spec: specOf('a', {}, publish), configMaps: shown.maps });
    await world.settle();
    assert.equal(shown.data()?.['imageID'], first);
    world.serve(() => new OperatorError('not there', { code: 'SourceNotFound' }));
    if (harm === 'gone') world.foreignDelete(first);
    else {
      world.data.set(first, 'other');
      world.loseStatus();
    }
    world.edit(specOf('a', { tags: ['x'] }, publish));
    await world.settle(4);
    assert.deepEqual([world.status?.imageID, shown.data()], [undefined, undefined], harm);
    world.serve(() => 'a');
    await world.settle();
    assert.deepEqual([world.ready(), shown.data()?.['imageID']], ['True Ready', second], harm);
  }
});

test('a clock that was ahead when an image was replaced ends its time neither early nor late', async () => {
  const revisions = { keep: 0, keepFor: '3h' };
  const world = await started({}, { revisions });
  world.clock.jump(400 * 24 * hour);
  world.edit(specOf('b', {}, { revisions }));
  await world.settle();
  world.clock.jump(-400 * 24 * hour);
  await world.settle();
  assert.deepEqual(states(world), ['0 Retired', '1 Current']);
  await world.clock.advance(2 * hour);
  await world.settle();
  assert.deepEqual(states(world), ['0 Retired', '1 Current']);
  await world.clock.advance(hour);
  await world.settle();
  assert.deepEqual(states(world), ['1 Current']);
});

test('a deactivated image of a lost status is reported as deactivated, and is the one to use again once it is active', async () => {
  const world = await started();
  world.meddle(first, { status: 'deactivated' });
  world.loseStatus();
  await world.settle(3);
  assert.equal(world.ready(), 'False Deactivated');
  assert.match(world.message() ?? '', /By its mark it was made for the declared data/);
  assert.equal(world.images.size, 1);
  world.meddle(first, { status: 'active' });
  await world.settle();
  assert.deepEqual([world.ready(), world.status?.imageID], ['True Ready', first]);
});

test('while a retired image takes its place again, the status does not call the declaration before it ready', async () => {
  const world = await started();
  world.edit(specOf('b'));
  await world.settle();
  world.edit(specOf('a'));
  const seen: string[] = [];
  world.watch(() => {
    const { imageID, observedGeneration } = world.status ?? {};
    seen.push(`${imageID === first ? 'first' : 'second'} ${world.ready()} ${observedGeneration}`);
  });
  await world.settle();
  assert.ok(!seen.includes('first True Ready 2'), seen.join(', '));
  assert.equal(seen.at(-1), 'first True Ready 3');
  assert.equal(findCondition(world.status?.conditions, 'Available')?.status, 'True');
  assert.equal(world.status?.content?.digest, sha256('a'));
});

/** An edit, after which the process ends, or a response is lost, between the data and the place of the new image. */
async function cutOff(
  world: World,
  data: string,
  revisions: Record<string, unknown>,
  at: 'hidden' | 'visible',
): Promise<void> {
  let isCut = false;
  world.decide(({ op, id }) => {
    if (isCut || id !== second) return 'ok';
    const isHere = at === 'hidden' ? op === 'create' : op === 'patch';
    isCut ||= isHere;
    return !isHere ? 'ok' : at === 'hidden' ? 'crash-after' : 'lost';
  });
  world.edit(specOf(data, {}, { revisions }));
  for (let steps = 0; steps < 10 && !isCut; steps++) await world.settle(1);
  assert.ok(isCut);
  world.decide(() => 'ok');
}

test('an image that never was the one to use takes no place of a revision that is kept, and goes', async () => {
  for (const at of ['hidden', 'visible'] as const) {
    const revisions = { keep: 1 };
    const world = await started({}, { revisions });
    await cutOff(world, 'b', revisions, at);
    if (at === 'hidden') {
      world.fill(second, 'b');
      await world.restart();
    }
    assert.equal(world.images.get(second)?.hidden, at === 'hidden');
    world.edit(specOf('c', {}, { revisions }));
    await world.settle();
    assert.deepEqual([world.ready(), states(world)], ['True Ready', ['0 Retired', '2 Current']], at);
  }
});

test('an image that never was the one to use and is in use takes no place of a revision that is kept', async () => {
  const revisions = { keep: 1 };
  const world = await started({}, { revisions });
  await cutOff(world, 'b', revisions, 'visible');
  world.serverImages.add(second);
  world.edit(specOf('c', {}, { revisions }));
  await world.settle();
  assert.deepEqual(states(world), ['0 Retired', '1 InUse', '2 Current']);
  world.serverImages.clear();
  await world.clock.advance(2 * hour);
  await world.settle();
  assert.deepEqual(states(world), ['0 Retired', '2 Current']);
});

test('an image that was the one to use before it had its name is kept, also if the status is lost', async () => {
  for (const isLost of [false, true]) {
    const revisions = { keep: 1 };
    const world = await started({}, { revisions });
    world.decide(({ op, id }) => (op === 'patch' && id === first ? 'crash-before' : 'ok'));
    world.edit(specOf('b', {}, { revisions }));
    await world.settle(4);
    assert.equal(world.status?.imageID, second);
    assert.match(world.images.get(second)?.name ?? '', /pending/);
    world.decide(() => 'ok');
    if (isLost) world.loseStatus();
    world.edit(specOf('c', {}, { revisions }));
    await world.settle();
    assert.deepEqual([world.ready(), states(world)], ['True Ready', ['1 Retired', '2 Current']]);
  }
});

test('a retired image is never visible to more projects than is declared', async () => {
  const world = await started({ visibility: 'public' });
  world.edit(specOf('b', { visibility: 'public' }));
  await world.settle();
  for (const [visibility, seen] of [
    ['public', 'public'],
    ['shared', 'shared'],
    ['private', 'private'],
    ['public', 'private'],
  ]) {
    world.edit(specOf('b', { visibility }));
    await world.settle();
    assert.deepEqual([world.ready(), world.images.get(first)?.visibility], ['True Ready', seen], visibility);
  }
  world.edit(specOf('a', { visibility: 'public' }));
  await world.settle();
  assert.deepEqual([world.status?.imageID, world.images.get(first)?.visibility], [first, 'public']);
});
