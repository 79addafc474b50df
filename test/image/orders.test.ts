/** Orders of edits, failures and changes by others that broke a law once, on a Glance and an API server in memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fingerprintOf } from '../../src/image/model/fingerprint.ts';
import { contentProperty, imageIDOf, markOf, numberOf } from '../../src/image/model/identity.ts';
import { asOperation, isBlank, recall } from '../../src/image/model/memory.ts';
import { remembered } from '../../src/image/reconcile/follow.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { content, identity, imageOf, resourceOf, uid } from './resource.ts';
import { before, desiredOf, knows, memoryOf, now, outline, planFor, promotes, stateOf, withContent } from './states.ts';
import { createWorld } from './world.ts';
import { sha512, specOf } from './world-glance.ts';

const [first = '', second = ''] = [imageIDOf(uid, 0), imageIDOf(uid, 1)];

async function settled(spec: Record<string, unknown>) {
  const world = createWorld({ spec });
  await world.settle();
  assert.equal(world.ready(), 'True Ready');
  world.log.length = 0;
  return world;
}

test('an image whose creation had no response is deleted when the edit that caused it is undone', async () => {
  const world = await settled(specOf('a'));
  world.decide(({ op }) => (op === 'create' ? 'lost' : 'ok'));
  world.edit(specOf('b'));
  await world.step();
  world.decide(() => 'ok');
  assert.equal(world.images.size, 2);
  world.edit(specOf('a'));
  await world.settle();
  assert.deepEqual([world.ready(), world.show()], ['True Ready', ['4beb ubuntu active visible a marked']]);
});

test('an image whose creation was cut off by a crash is deleted when the edit that caused it is undone', async () => {
  const world = await settled(specOf('a'));
  world.decide(({ op }) => (op === 'create' ? 'crash-after' : 'ok'));
  world.edit(specOf('b'));
  await world.step();
  world.decide(() => 'ok');
  world.edit(specOf('a'));
  await world.settle();
  assert.deepEqual([world.ready(), world.show()], ['True Ready', ['4beb ubuntu active visible a marked']]);
});

test('an image that was active when the operator crashed stays until the one for the next declaration is verified', async () => {
  const world = createWorld({ spec: specOf('a') });
  world.hold();
  await world.step();
  // The status names the image before it is filled.
  await world.clock.advance(2_000);
  await world.step();
  assert.deepEqual(world.status?.operation?.['published'], []);
  await world.release();
  await world.restart();
  world.edit(specOf('b'));
  const counts: number[] = [];
  world.watch(() =>
    counts.push([...world.images.values()].filter(({ status, hidden }) => status === 'active' && !hidden).length),
  );
  await world.settle();
  assert.equal(world.ready(), 'True Ready');
  assert.ok(world.show().includes('fd16 ubuntu active visible b marked'));
  assert.ok(counts.length > 0 && counts.every((count) => count > 0), 'an active image is always visible');
});

test('wrong data that another client has put into a visible image stays until an image with the declared data takes its place', async () => {
  const world = createWorld({ spec: specOf('a') });
  world.serve(() => new OperatorError('not there', { code: 'SourceNotFound' }));
  await world.settle(2);
  assert.deepEqual(world.show(), ['4beb ubuntu queued visible - marked']);
  world.fill(first, 'other');
  await world.settle(3);
  assert.equal(world.status?.imageID, undefined);
  assert.ok(world.show().includes('4beb ubuntu active visible other marked'), world.show().join(', '));
  world.serve(() => 'a');
  const active: number[] = [];
  world.watch(() => active.push([...world.images.values()].filter(({ status }) => status === 'active').length));
  await world.settle();
  assert.deepEqual([world.ready(), world.show()], ['True Ready', ['fd16 ubuntu active visible a marked']]);
  assert.ok(
    active.every((count) => count > 0),
    'an image is there at each moment',
  );
});

test('a status that is lost while another image is filled does not make the operator forget the image before', async () => {
  for (const waits of [false, true]) {
    const world = await settled(specOf('a'));
    world.hold();
    world.edit(specOf('b'));
    await world.step();
    world.loseStatus();
    if (waits) await world.step();
    await world.release();
    const names: string[][] = [];
    world.watch(() => names.push([...world.images.values()].flatMap(({ name }) => (name === 'ubuntu' ? [name] : []))));
    await world.settle();
    const both = ['4beb ubuntu (2026-01-02) active hidden a marked', 'fd16 ubuntu active visible b marked'];
    assert.deepEqual([world.ready(), world.show()], ['True Ready', both]);
    assert.ok(
      names.every((list) => list.length <= 1),
      'no two images have the declared name',
    );
  }
});

test('the content in the status is never that of an image that was deleted', async () => {
  const world = await settled(specOf('a'));
  world.edit(specOf('b'));
  await world.step();
  await world.clock.advance(0);
  world.edit(specOf('a'));
  await world.step();
  assert.deepEqual([world.images.size, world.status?.content?.imageID], [1, first]);
});

test('an owner that was declared for a moment does not make the image foreign', async () => {
  const [one, two] = ['b'.repeat(32), 'c'.repeat(32)];
  for (const fate of ['lost', 'crash-after'] as const) {
    const world = await settled(specOf('a'));
    for (const owner of [one, two]) world.ours.add(owner);
    world.decide(({ op }) => (op === 'patch' ? fate : 'ok'));
    world.edit(specOf('a', { owner: one }));
    await world.step();
    world.decide(() => 'ok');
    world.edit(specOf('a', { owner: two }));
    await world.settle();
    assert.equal(world.ready(), 'True Ready');
    assert.equal(world.images.get(first)?.owner, two);
  }
});

test('an owner that is corrected during the upload does not make the new image foreign', async () => {
  const [one, two] = ['b'.repeat(32), 'c'.repeat(32)];
  const world = createWorld({ spec: specOf('a', { owner: one }) });
  for (const owner of [one, two]) world.ours.add(owner);
  world.hold();
  await world.step();
  world.edit(specOf('a', { owner: two }));
  await world.release();
  await world.settle();
  assert.deepEqual([world.ready(), world.images.get(first)?.owner], ['True Ready', two]);
});

test('an image that no consumer is known to use, and that is in use, does not stop the resource', async () => {
  const world = await settled(specOf('a'));
  world.hold();
  world.edit(specOf('b'));
  await world.step();
  world.inUse.add(second);
  world.edit(specOf('a'));
  await world.release();
  await world.settle();
  assert.equal(world.ready(), 'True Ready');
  await world.clock.advance(11 * 60_000);
  world.delete();
  await world.step();
  assert.match(world.message() ?? '', /in use/);
  world.inUse.clear();
  await world.settle();
  assert.deepEqual([world.resource, world.images.size], [undefined, 0]);
});

test('a failed import is reported as one, also if its cause cannot be read', async () => {
  const digest = `sha512:${sha512('a')}`;
  const webDownload = { content: { http: { url: 'https://example.com/a.raw', digest }, method: 'WebDownload' } };
  const world = createWorld({ spec: { ...webDownload, image: { diskFormat: 'raw' } } });
  const denied = new OperatorError('not allowed', { code: 'Forbidden' });
  world.decide(({ op }) => (op === 'tasks' ? denied : 'ok'));
  await world.step();
  const { os_glance_import_task: _, ...properties } = world.images.get(first)?.properties ?? {};
  world.meddle(first, { properties });
  await world.step();
  assert.equal(world.ready(), 'False ImportFailed');
});

test('an upload that was interrupted says nothing about the next one', () => {
  const image = imageOf({ status: 'queued', size: null, hash: null, checksum: null });
  const memory = knows([image], { interrupted: { imageID: image.id, at: before(3_600_000), isCut: true } });
  const desired = desiredOf(withContent);
  const filled = { ...image, properties: { ...markOf(identity), [contentProperty]: desired.fingerprint ?? '' } };
  const { next } = planFor(withContent, stateOf([filled], memory));
  assert.equal(next.kind, 'transfer');
  const after = remembered(memory, next, stateOf([filled], memory).observed, desired, now);
  const saving = { ...filled, status: 'saving' };
  assert.deepEqual(outline(planFor(withContent, stateOf([saving], after))), ['→ Waiting 0']);
});

test('a time that a wrong clock has recorded is not waited for', () => {
  const later = before(-365 * 86_400_000);
  const desired = desiredOf(withContent);
  const properties = { ...markOf(identity), [contentProperty]: desired.fingerprint ?? '' };
  const locked = imageOf({
    status: 'importing',
    hash: null,
    properties: { ...properties, os_glance_import_task: 'task' },
  });
  const memory = knows([locked], { import: { imageID: locked.id, kind: 'fetch', at: later } });
  assert.deepEqual(outline(planFor(withContent, stateOf([locked], memory)))[0], 'delete 0');
  const unmarked = imageOf({ properties: {} });
  const contested = promotes(unmarked, { marks: { restored: 3, at: later } });
  assert.match(outline(planFor({}, stateOf([unmarked], contested)))[0] ?? '', /^patch 0/);
});

test('an image that holds a file as it was served is replaced once it is to be decompressed', () => {
  const declared = { http: { ...content.http, decompress: 'None' } };
  const kept = desiredOf({ spec: { content: declared, image: { diskFormat: 'raw' } } });
  const image = imageOf({ properties: { ...markOf(identity), [contentProperty]: kept.fingerprint ?? '' } });
  const lines = outline(planFor(withContent, stateOf([image], promotes(image))));
  assert.deepEqual(lines, ['create 1', '→ fill 1']);
  const digest = `sha512:${'e'.repeat(128)}`;
  const comparable = { spec: { content: { http: { ...content.http, digest } }, image: { diskFormat: 'raw' } } };
  assert.deepEqual(outline(planFor(comparable, stateOf([image], promotes(image)))), ['create 1', '→ fill 1']);
  assert.equal(kept.content && fingerprintOf(kept.content), kept.fingerprint);
});

test('a part of the memory that does not fit is forgotten, and not the images', () => {
  const keys = Array.from({ length: 300 }, (_, index) => `key${index}`);
  const memory = promotes(imageOf(), {
    unremovable: { keys, at: now.toISOString() },
    propertyKeys: keys,
    injected: keys,
  });
  const read = recall(resourceOf({ status: { operation: asOperation(memory) } }));
  assert.ok(read.kind === 'memory' && !read.isLost);
  assert.deepEqual([read.memory.promoted, read.memory.images], [memory.promoted, memory.images]);
});

test('declared properties are remembered before the first image exists', () => {
  assert.equal(isBlank(memoryOf({ propertyKeys: ['a'] })), false);
});

test('a property that Glance does not let us remove yet is removed later, also with Merge', () => {
  const image = imageOf({ properties: { ...markOf(identity), old: '1' } });
  const options = { spec: { propertyPolicy: 'Merge' } };
  const memory = promotes(image, { propertyKeys: ['old'], unremovable: { keys: ['old'], at: now.toISOString() } });
  const { next } = planFor(options, stateOf([image], memory));
  assert.equal(next.kind, 'settled');
  const after = remembered(memory, next, stateOf([image], memory).observed, desiredOf(options), now);
  const aged = { ...after, unremovable: { keys: ['old'], at: before(90_000_000) } };
  assert.deepEqual(outline(planFor(options, stateOf([image], aged)))[0], 'patch 0 /old');
});

test('no further image is created next to 64 of which none can be deleted', () => {
  const images = Array.from({ length: 64 }, (_, number) =>
    imageOf({ id: imageIDOf(uid, number), name: `n${number}`, hash: { algorithm: 'sha512', value: '0' } }),
  );
  const inUse = images.map(({ id }) => ({ imageID: id, at: now.toISOString() }));
  const memory = knows(images, { published: images.map(({ id }) => id), inUse });
  const digest = `sha512:${'1'.repeat(128)}`;
  const options = {
    spec: { content: { http: { ...content.http, digest, digestOf: 'Image' } }, image: { diskFormat: 'raw' } },
  };
  assert.deepEqual(outline(planFor(options, stateOf(images, memory))), ['→ RevisionsInUse']);
});

test('an unknown ID is searched in bounded time, however many IDs were used', () => {
  const next = 50_000_000;
  assert.equal(numberOf(uid, '00000000-0000-4000-8000-000000000000', next), undefined);
  for (const number of [0, 9_999, next - 9_999, next, next + 9_999])
    assert.equal(numberOf(uid, imageIDOf(uid, number), next), number);
});

test('an image whose copy to another store was under way when it was deleted is created again, and no failed import is reported', async () => {
  const stores = ['a', 'b'];
  const world = createWorld({ spec: specOf('a', { stores }), storeNames: stores });
  for (let reconciles = 0; reconciles < 6 && !world.log.some((line) => line.startsWith('import')); reconciles++) {
    await world.step();
    await world.clock.advance(0);
  }
  assert.ok(
    world.log.some((line) => line.startsWith('import copy-image')),
    'the copy was requested',
  );
  await world.clock.advance(60_000);
  world.foreignDelete(first);
  for (let reconciles = 0; reconciles < 4; reconciles++) {
    await world.step();
    await world.clock.advance(0);
  }
  assert.equal(world.images.get(second)?.status, 'active');
  assert.ok(!world.events.includes('Warning ImportFailed'), world.events.join(', '));
});

test('a digest of an image that was deleted does not condemn the next one, which is not decompressed any more', async () => {
  const world = await settled(specOf('a'));
  await world.clock.advance(60_000);
  world.foreignDelete(first);
  const { image, content: declared } = specOf('a');
  world.edit({ image, content: { http: { ...declared.http, decompress: 'None' } } });
  await world.step();
  await world.clock.advance(0);
  assert.equal(world.images.get(second)?.status, 'active');
  // The process dies before it has written a status of the upload.
  await world.restart();
  await world.settle();
  assert.deepEqual([world.ready(), world.show()], ['True Ready', ['fd16 ubuntu active visible a marked']]);
  assert.deepEqual(
    world.log.filter((line) => /^(create|delete)/.test(line)),
    ['create fd16'],
  );
});

test('the end of a cut upload that protects an image again delays its deletion by one more plan only', async () => {
  const world = createWorld({ spec: specOf('a', { protected: true }, { revisions: { keep: 0 } }) });
  await world.settle();
  world.edit(specOf('b', { protected: true }, { revisions: { keep: 0 } }));
  let isProtectedAgain = false;
  world.watch(() => {
    const image = world.images.get(imageIDOf(uid, 0));
    if (image?.protected !== false || isProtectedAgain) return;
    isProtectedAgain = true;
    world.meddle(image.id, { protected: true });
  });
  await world.settle();
  assert.ok(isProtectedAgain);
  assert.equal(world.ready(), 'True Ready');
  assert.equal(world.images.has(imageIDOf(uid, 0)), false);
  assert.ok(!world.events.includes('Warning Forbidden'), world.events.join(', '));
});
