/** A Glance whose database lags behind: an image that was just created is in no response yet. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRecentImages } from '../../src/image/access/recent.ts';
import { imageIDOf } from '../../src/image/model/identity.ts';
import type { PlanStep } from '../../src/image/model/step.ts';
import { perform } from '../../src/image/perform/perform.ts';
import { createVirtualClock } from '../clock.ts';
import { codeOf } from './performing.ts';
import { imageOf, uid } from './resource.ts';
import { stateOf } from './states.ts';
import { performOn, stubGlance } from './stub-glance.ts';
import { createWorld } from './world.ts';
import { specOf } from './world-glance.ts';

const first = imageIDOf(uid, 0);

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

test('the absence of an image is certain five seconds after its creation, and after its deletion', async () => {
  const clock = createVirtualClock();
  const recent = createRecentImages(clock);
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
    assert.equal(codeOf(performed), 'GlanceUnavailable', step.kind);
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
