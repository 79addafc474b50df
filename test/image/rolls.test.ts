/** Revisions from the edit of a declaration to the deletion of an old image, on a Glance and an API server in memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findCondition } from '../../src/api/conditions.ts';
import { desire, nameBefore, retiredName } from '../../src/image/model/desired.ts';
import { contentProperty, imageIDOf, ownerProperty } from '../../src/image/model/identity.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { identity, imageOf, projectID, resourceOf, uid } from './resource.ts';
import { createWorld, type World } from './world.ts';
import { sha256, sha512, specOf } from './world-glance.ts';

const [first = '', second = ''] = [imageIDOf(uid, 0), imageIDOf(uid, 1)];
const hour = 3_600_000;

async function rolled(...data: readonly string[]): Promise<World> {
  return rolledWith({}, ...data);
}

async function rolledWith(revisions: object, ...data: readonly string[]): Promise<World> {
  const [start = 'a', ...others] = data;
  const world = createWorld({ spec: specOf(start, {}, { revisions }) });
  await world.settle();
  for (const next of others) {
    world.edit(specOf(next, {}, { revisions }));
    await world.settle();
  }
  assert.equal(world.ready(), 'True Ready');
  return world;
}

function states(world: World): string[] {
  return (world.status?.revisions ?? []).map(({ number, state }) => `${number} ${state}`);
}

test('an edit of the digest makes a revision, and the one before is kept, hidden and dated', async () => {
  const world = await rolled('a', 'b');
  assert.deepEqual(world.show(), [
    '4beb ubuntu (2026-01-02) active hidden a marked',
    'fd16 ubuntu active visible b marked',
  ]);
  assert.deepEqual(states(world), ['0 Retired', '1 Current']);
  assert.equal(world.status?.imageID, second);
  assert.match(world.status?.revisions?.[0]?.retiredAt ?? '', /^2026-01-02T/);
});

test('an edit of a format makes a revision with that format', async () => {
  const world = await rolled('a');
  world.edit(specOf('a', { diskFormat: 'vhd' }));
  await world.settle();
  assert.deepEqual([world.ready(), world.images.get(second)?.diskFormat], ['True Ready', 'vhd']);
});

test('a roll back promotes the retired revision without a download, and the status shows its digest', async () => {
  const world = await rolled('a', 'b');
  world.log.length = 0;
  world.edit(specOf('a'));
  await world.settle();
  assert.equal(world.status?.imageID, first);
  assert.ok(
    world.log.every((line) => !line.startsWith('put ') && !line.startsWith('create ')),
    world.log.join(', '),
  );
  assert.deepEqual(states(world), ['0 Current', '1 Retired']);
  assert.partialDeepStrictEqual(world.status?.content, { imageID: first, digest: sha256('a') });
});

test('while the next revision is made, and when it fails, the current one stays the one to use', async () => {
  const world = await rolled('a');
  world.serve(() => new OperatorError('not there', { code: 'SourceNotFound' }));
  world.edit(specOf('b'));
  await world.settle(4);
  assert.equal(world.ready(), 'False SourceNotFound');
  assert.equal(world.status?.imageID, first);
  assert.equal(findCondition(world.status?.conditions, 'Available')?.status, 'True');
  assert.equal(findCondition(world.status?.conditions, 'Reconciling')?.status, 'True');
  assert.match(world.show()[0] ?? '', /^4beb ubuntu active visible a/);
});

test('there is no image to use before the first one is verified', async () => {
  const world = createWorld({ spec: specOf('a') });
  world.serve(() => new OperatorError('not there', { code: 'SourceNotFound' }));
  await world.settle(4);
  assert.partialDeepStrictEqual(findCondition(world.status?.conditions, 'Available'), {
    status: 'False',
    reason: 'NoImage',
  });
});

test('only as many retired revisions are kept as declared', async () => {
  assert.deepEqual(states(await rolledWith({ keep: 2 }, 'a', 'b', 'c', 'd')), ['1 Retired', '2 Retired', '3 Current']);
  assert.deepEqual(states(await rolledWith({ keep: 0 }, 'a', 'b')), ['1 Current']);
});

test('a retired revision stays for its time, and goes when that is over, also without drift checks', async () => {
  const revisions = { keep: 0, keepFor: '3h' };
  const world = createWorld({ spec: specOf('a', {}, { revisions, interval: '0' }) });
  await world.settle();
  world.edit(specOf('b', {}, { revisions, interval: '0' }));
  await world.step();
  await world.clock.advance(0);
  const outcome = await world.step();
  assert.deepEqual(states(world), ['0 Retired', '1 Current']);
  assert.ok(outcome?.kind === 'requeueAfter' && outcome.afterMs <= 3 * hour, 'the reconcile is planned');
  await world.clock.advance(3 * hour);
  await world.settle();
  assert.deepEqual(states(world), ['1 Current']);
});

test('a retired revision that a server uses is shown as in use, and is looked at again after an hour', async () => {
  const world = await rolled('a');
  world.serverImages.add(first);
  world.edit(specOf('b', {}, { revisions: { keep: 0 } }));
  await world.settle();
  assert.deepEqual([world.ready(), states(world)], ['True Ready', ['0 InUse', '1 Current']]);
  world.serverImages.clear();
  await world.clock.advance(hour);
  await world.step();
  assert.deepEqual(states(world), ['1 Current']);
});

test('a pin holds the current revision against an edit, and the edit is followed when it is removed', async () => {
  const world = await rolled('a');
  const pinned = { revisions: { pin: sha256('a') } };
  world.edit(specOf('b', {}, pinned));
  await world.settle();
  assert.deepEqual([world.ready(), world.status?.imageID, world.images.size], ['True Ready', first, 1]);
  assert.equal(findCondition(world.status?.conditions, 'Warning')?.reason, 'Pinned');
  world.edit(specOf('b'));
  await world.settle();
  assert.deepEqual([world.ready(), world.status?.imageID], ['True Ready', second]);
});

test('a pin promotes the retired revision with that hash or digest, also after the memory was lost', async () => {
  for (const pin of [sha256('a'), `sha512:${sha512('a')}`]) {
    for (const isLost of [false, true]) {
      const world = await rolled('a', 'b');
      world.log.length = 0;
      if (isLost) world.loseStatus();
      world.edit(specOf('b', {}, { revisions: { pin } }));
      await world.settle();
      assert.deepEqual([world.ready(), world.status?.imageID], ['True Ready', first], `${pin} ${isLost}`);
      assert.ok(
        world.log.every((line) => !line.startsWith('put ')),
        world.log.join(', '),
      );
    }
  }
});

test('a pin that no revision has is reported, and nothing is changed', async () => {
  const world = await rolled('a', 'b');
  const before = world.show();
  world.edit(specOf('c', {}, { revisions: { pin: sha256('other') } }));
  await world.settle(3);
  assert.deepEqual([world.ready(), world.show(), world.status?.imageID], ['False PinNotFound', before, second]);
});

test('a revision for which the quota has no room is reported before anything is downloaded', async () => {
  const world = await rolled('a');
  const full = { image_count_total: { limit: 1, usage: 1 } };
  world.calls.usage = full;
  world.log.length = 0;
  world.edit(specOf('b'));
  await world.settle(3);
  assert.deepEqual([world.ready(), world.images.size, world.status?.imageID], ['False NoRoomForRevision', 1, first]);
  assert.match(world.message() ?? '', /image_count_total: 1 of 1 images exist/);
  world.calls.usage = { image_count_total: { limit: -1, usage: 1 }, image_size_total: { limit: 5, usage: 5 } };
  await world.settle();
  assert.equal(world.ready(), 'True Ready');
});

test('the deletion of a resource deletes all of its revisions', async () => {
  const world = await rolledWith({ keep: 3 }, 'a', 'b', 'c');
  assert.equal(world.images.size, 3);
  world.delete();
  await world.settle();
  assert.deepEqual([world.resource, world.images.size], [undefined, 0]);
});

test('with Retain, all revisions stay in Glance without the mark of the cluster', async () => {
  const world = createWorld({ spec: specOf('a', {}, { deletionPolicy: 'Retain' }) });
  await world.settle();
  world.edit(specOf('b', {}, { deletionPolicy: 'Retain' }));
  await world.settle();
  world.delete();
  await world.settle();
  assert.deepEqual([world.resource, [...world.images.keys()]], [undefined, [first, second]]);
  for (const { properties } of world.images.values())
    assert.deepEqual(Object.keys(properties).sort(), [contentProperty, ownerProperty]);
});

test('the name of a retired revision is never longer than Glance allows, and never the declared one', () => {
  const nameOf = (name: string, template?: string) => {
    const revisions = template === undefined ? {} : { revisions: { retired: { name: template } } };
    const desired = desire(resourceOf({ spec: { ...revisions, image: { name } } }), identity, projectID, undefined);
    return retiredName(desired, imageOf({ createdAt: '2026-01-31T23:59:59' }), 7);
  };
  assert.equal(nameOf('ubuntu'), 'ubuntu (2026-01-31)');
  assert.equal(nameOf('ubuntu', 'old {number} {name}'), 'old 7 ubuntu');
  const long = nameOf('\u{1f600}'.repeat(255));
  assert.deepEqual([[...long].length, long.endsWith(' (2026-01-31)')], [255, true]);
  assert.equal([...nameOf('x'.repeat(255), `${'y'.repeat(247)}{number}`)].length, 248);
  assert.equal(nameOf('old 7', 'old {number}'), `old 7 (replaced ${first.slice(0, 8)})`);
  assert.equal(nameOf('{date}', '{name} {number}'), '{date} 7');
});

test('the name before the retirement is read from any name and template in time that does not multiply with each placeholder', () => {
  const before = (template: string, name: string) => {
    const spec = { revisions: { retired: { name: template } }, image: { name: 'ubuntu' } };
    const desired = desire(resourceOf({ spec }), identity, projectID, undefined);
    return nameBefore(desired, imageOf({ name, createdAt: '2026-01-31T23:59:59' }));
  };
  assert.equal(before('{number}: {name} ({date})', '7: ubuntu (2026-01-31)'), 'ubuntu');
  assert.equal(before('{number} {name} {number}', '12 ubuntu 12'), 'ubuntu');
  assert.equal(before('{name}{number}', 'ubuntu 20'), 'ubuntu 2');
  assert.equal(before('a.(b) {name} [{number}]', 'a.(b) ubuntu [7]'), 'ubuntu');
  // One image has one number. A pattern that admits several is tried in as many ways as the digits can be shared out.
  assert.equal(before('{number} {name} {number}', '1 ubuntu 2'), undefined);
  const numbers = '{number}'.repeat(28);
  for (const template of [`{name}${numbers}x`, `${numbers}x{name}`, `{number} {name}${numbers}x`])
    assert.equal(before(template, '1'.repeat(255)), undefined);
});
