/** A Glance whose database lags behind: an image that was just created is in no response yet. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Conflict, GlanceConnectionFailed } from '../../src/glance/errors.ts';
import { createRecentImages } from '../../src/image/access/recent.ts';
import { imageIDOf } from '../../src/image/model/identity.ts';
import type { PlanStep } from '../../src/image/model/step.ts';
import { perform } from '../../src/image/perform/perform.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { createVirtualClock } from '../clock.ts';
import { codeOf } from './performing.ts';
import { imageOf, uid } from './resource.ts';
import { stateOf } from './states.ts';
import { performOn, stubGlance } from './stub-glance.ts';
import { createWorld, type World } from './world.ts';
import { specOf } from './world-glance.ts';

const first = imageIDOf(uid, 0);
const second = imageIDOf(uid, 1);

/** An image was created, its upload was stopped by an edit, and nothing that is read shows it. */
async function lagging() {
  const world = createWorld({ spec: specOf('a') });
  world.hold();
  await world.step();
  await world.clock.advance(2_000);
  await world.step();
  world.lagging.add(first);
  world.edit(specOf('b'));
  return world;
}

const created = (log: readonly string[]) => log.filter((line) => line.startsWith('create')).length;

test('an image that was just created is not created again while a database that lags behind does not show it', async () => {
  const world = await lagging();
  assert.deepEqual(await world.step(), { kind: 'requeueAfter', afterMs: 3_000 });
  await world.clock.advance(1_000);
  assert.deepEqual(await world.step(), { kind: 'requeueAfter', afterMs: 2_000 });
  world.lagging.clear();
  await world.release();
  await world.settle();
  assert.equal(created(world.log), 1);
  assert.deepEqual([world.ready(), world.show()], ['True Ready', ['4beb ubuntu active visible b marked']]);
});

test('an image that neither its ID nor a list shows for five seconds is created again', async () => {
  const world = await lagging();
  await world.clock.advance(3_000);
  await world.release();
  await world.settle();
  assert.equal(created(world.log), 2);
  assert.equal(world.ready(), 'True Ready');
});

test('a resource is not released while a database that lags behind does not show its new image', async () => {
  const world = await lagging();
  world.delete();
  assert.equal((await world.step())?.kind, 'requeueAfter');
  assert.notEqual(world.resource, undefined);
  world.lagging.clear();
  await world.settle();
  assert.deepEqual([world.resource, world.images.size], [undefined, 0]);
});

test('the absence of an image is certain five seconds after its creation or the start of the process, and after its deletion', async () => {
  const clock = createVirtualClock();
  const recent = createRecentImages(clock);
  assert.equal(recent.doubtMs('a'), 5_000);
  await clock.advance(60_000);
  assert.equal(recent.doubtMs('a'), 0);
  for (const id of ['a', 'b']) recent.created(id);
  recent.deleted('b');
  await clock.advance(1_000);
  assert.deepEqual([recent.doubtMs('a'), recent.doubtMs('b')], [4_000, 0]);
  await clock.advance(4_000);
  assert.equal(recent.doubtMs('a'), 0);
});

test('a change or deletion of a new image that a database which lags behind does not know is a failure, and forgets nothing', async () => {
  const image = imageOf();
  const steps: PlanStep[] = [
    { kind: 'patch', image, operations: [{ op: 'replace', path: '/name', value: 'other' }], keys: [] },
    { kind: 'delete', image, why: '' },
  ];
  for (const step of steps) {
    const recent = createRecentImages(createVirtualClock());
    recent.created(image.id);
    const performed = await perform(step, stateOf([image]), performOn(stubGlance([]), { recent }));
    assert.equal(codeOf(performed), 'ImageNotKnownYet', step.kind);
    assert.deepEqual(performed.kind === 'failed' && performed.state.memory.images, [image.id]);
  }
});

test('the absence of an image that the operator has deleted itself is certain', async () => {
  const image = imageOf();
  const recent = createRecentImages(createVirtualClock());
  recent.created(image.id);
  await perform({ kind: 'delete', image, why: '' }, stateOf([image]), performOn(stubGlance([image]), { recent }));
  assert.equal(recent.doubtMs(image.id), 0);
});

/** No read shows the image for two seconds. */
function hide({ lagging, clock }: World, id: string): void {
  lagging.add(id);
  clock.schedule(2_000, () => lagging.clear());
}

for (const [deletionPolicy, left] of [
  ['Delete', []],
  ['Retain', ['active']],
] as const)
  test(`a resource with deletionPolicy ${deletionPolicy} is not released while a database that lags behind does not show its second image`, async () => {
    const world = createWorld({ spec: specOf('a', {}, { deletionPolicy }) });
    await world.settle();
    await world.clock.advance(60_000);
    world.edit(specOf('b', {}, { deletionPolicy }));
    world.hold();
    for (let steps = 0; steps < 10 && !world.images.has(second); steps++) {
      await world.step();
      await world.clock.advance(0);
    }
    hide(world, second);
    world.delete();
    await world.settle();
    assert.equal(world.resource, undefined);
    assert.deepEqual(
      [...world.images.values()].map(({ status }) => status),
      left,
    );
  });

test('an image whose creation had no response is taken, although a database that lags behind does not show it at first', async () => {
  const world = createWorld({ spec: specOf('a') });
  await world.clock.advance(60_000);
  world.decide(({ op, id }) => {
    if (op !== 'create' || id !== first || world.images.has(first)) return 'ok';
    hide(world, first);
    return 'lost';
  });
  await world.settle();
  assert.deepEqual([world.ready(), world.show()], ['True Ready', ['4beb ubuntu active visible a marked']]);
});

test('an image is taken whose process died before it recorded it, although a database that lags behind does not show it at first', async () => {
  const world = createWorld({ spec: specOf('a') });
  await world.clock.advance(60_000);
  world.decide(({ op, id }) => {
    if (op !== 'create' || id !== first || world.images.has(first)) return 'ok';
    hide(world, first);
    return 'crash-after';
  });
  await world.settle();
  assert.deepEqual([world.ready(), world.show()], ['True Ready', ['4beb ubuntu active visible a marked']]);
});

test('an image that was created just before a restart is not created again while a database that lags behind does not show it', async () => {
  const world = createWorld({ spec: specOf('a') });
  world.hold();
  await world.step();
  await world.clock.advance(2_000);
  await world.step();
  hide(world, first);
  await world.restart();
  await world.release();
  await world.settle();
  assert.deepEqual([world.ready(), world.show()], ['True Ready', ['4beb ubuntu active visible a marked']]);
});

test('an ID that Glance calls used, and shows nowhere, is skipped five seconds later, where a request before may have used it', async () => {
  const clock = createVirtualClock();
  await clock.advance(60_000);
  const recent = createRecentImages(clock);
  const glance = stubGlance();
  const conflict = new Conflict('used', { httpStatus: 409 });
  const create = () => Promise.reject(conflict);
  const context = performOn(glance, { clock, recent, images: { ...glance.images, create } });
  recent.sending(first);
  const step: PlanStep = { kind: 'create', imageID: first, number: 0, image: {}, keys: [] };
  const kinds: string[] = [];
  for (let attempts = 0; attempts < 4; attempts++) {
    kinds.push((await perform(step, stateOf([]), context)).kind);
    await clock.advance(2_000);
  }
  assert.deepEqual(kinds, ['failed', 'failed', 'failed', 'changed']);
});

test('an ID that Glance calls used, and shows nowhere, is tried again five seconds later, however often the operator was restarted', async () => {
  const world = createWorld({ spec: specOf('a') });
  world.used.add(first);
  for (let restarts = 0; restarts < 9; restarts++) {
    await world.restart();
    assert.deepEqual(await world.step(), { kind: 'requeueAfter', afterMs: 5_000 });
    await world.clock.advance(600_000);
  }
  await world.settle();
  assert.equal(world.ready(), 'True Ready');
});

test('a request is remembered for ten minutes next to those for thousands of images', async () => {
  const clock = createVirtualClock();
  const recent = createRecentImages(clock);
  await clock.advance(600_000);
  recent.sending(first);
  for (let number = 1; number <= 9_000; number++) {
    recent.sending(imageIDOf(uid, number));
    recent.unsent(imageIDOf(uid, number + 1));
  }
  await clock.advance(599_000);
  assert.equal(recent.mayArrive(first), true);
  await clock.advance(1_000);
  assert.equal(recent.mayArrive(first), false);
});

test('an image may appear until five seconds after the request to create it has failed, however long that took', async () => {
  const clock = createVirtualClock();
  const recent = createRecentImages(clock);
  const glance = stubGlance();
  const create = async () => {
    await clock.advance(30_000);
    throw new GlanceConnectionFailed('cut', 'GlanceUnreachable', {});
  };
  const context = performOn(glance, { clock, recent, images: { ...glance.images, create } });
  await perform({ kind: 'create', imageID: first, number: 0, image: {}, keys: [] }, stateOf([]), context);
  assert.equal(recent.onItsWayMs(first), 5_000);
});

test('an image whose first transfer fails is not forgotten while a database that lags behind does not show it', async () => {
  const world = createWorld({ spec: specOf('a') });
  await world.clock.advance(60_000);
  world.serve(() => new OperatorError('the source is down', { code: 'SourceUnavailable' }));
  world.hold();
  await world.step();
  hide(world, first);
  await world.release();
  await world.step();
  world.serve(() => 'a');
  await world.settle();
  assert.deepEqual([world.ready(), world.show()], ['True Ready', ['4beb ubuntu active visible a marked']]);
});
