/**
 * The image to use while that of a publisher's newer file is made, which may take hours or fail for days: it stays as declared, and edits
 * reach it.
 */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { findCondition } from '../../src/api/conditions.ts';
import { reconcileAtAnnotation } from '../../src/api/group.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { publishersOf } from './following.ts';
import { createWorld, type World } from './world.ts';
import { sha256 } from './world-glance.ts';

const url = 'https://images.example.com/disk.raw';
const list = 'https://images.example.com/SHA256SUMS';
const interval = 600_000;

const specWith = (image: Record<string, unknown>, more: Record<string, unknown> = {}) => ({
  image: { name: 'ubuntu', diskFormat: 'raw', ...image },
  content: { http: { url, digestFrom: { checksums: { url: list } } }, update: { interval: '24h' } },
  revisions: { keep: 1 },
  ...more,
});

describe('while the image of a newer file is filled', () => {
  let world: World;
  let current: string;

  beforeEach(async () => {
    ({ world, current } = await withCurrent());
    world.hold();
    await untilTransferring(world);
  });

  test('an edit of the name and the tags reaches the image to use at once, and it is ready', async () => {
    const pending = pendingOf(world, current);
    world.edit(specWith({ name: 'jammy', tags: ['x'], minRAMMiB: 7 }));
    await world.step();
    const { name, tags, minRAMMiB } = world.images.get(current) ?? assert.fail();
    assert.deepEqual([name, tags, minRAMMiB], ['jammy', ['x'], 7]);
    assert.deepEqual(shown(world), { ready: 'True Ready', generation: 2, imageID: current, updating: 'Transferring' });
    assert.deepEqual([world.isTransferring(), world.status?.image?.name], [true, 'jammy']);
    await world.release();
    await reached(world, 'b', 'jammy');
    assert.deepEqual([world.status?.imageID, world.images.size], [pending, 2]);
  });

  test('a change by another client is undone at the next drift check', async () => {
    world.meddle(current, { name: 'meddled', tags: ['foreign'] });
    await world.clock.advance(interval);
    await world.step();
    const { name, tags } = world.images.get(current) ?? assert.fail();
    assert.deepEqual([name, tags, world.isTransferring()], ['ubuntu', [], true]);
  });

  test('a reconcile between two drift checks makes no request to Glance', async () => {
    await world.clock.advance(interval);
    await world.step();
    const before = { ...world.calls };
    for (let reconciles = 0; reconciles < 5; reconciles++) await world.step();
    assert.deepEqual(world.calls, before);
  });

  test('a reconcile asks for the next drift check', async () => {
    await world.clock.advance(interval);
    const outcome = await world.step();
    assert.equal(outcome?.kind, 'requeueAfter');
    assert.ok(outcome.afterMs <= interval, String(outcome.afterMs));
  });

  test('the image to use is not named any more once it was deleted by another client', async () => {
    world.foreignDelete(current);
    await world.clock.advance(interval);
    await world.step();
    assert.equal(world.status?.imageID, undefined);
    assert.equal(findCondition(world.status?.conditions, 'Available')?.status, 'False');
    assert.equal(world.ready(), 'False Transferring');
    await world.release();
    await reached(world, 'b', 'ubuntu');
    assert.equal(world.images.size, 1);
  });

  test('an image to use that an administrator has deactivated is not ready', async () => {
    world.meddle(current, { status: 'deactivated' });
    await world.clock.advance(interval);
    await world.step();
    assert.equal(world.ready(), 'False Transferring');
    world.meddle(current, { status: 'active' });
    await world.clock.advance(interval);
    await world.step();
    assert.equal(world.ready(), 'True Ready');
  });

  test('a format that the image to use does not have is no reason to make a third image at once', async () => {
    world.edit(specWith({ diskFormat: 'vhd' }));
    await world.step();
    assert.notEqual(world.ready(), 'True Ready');
    await world.release();
    await reached(world, 'b', 'ubuntu');
    assert.equal(world.images.get(world.status?.imageID ?? '')?.diskFormat, 'vhd');
  });

  for (const [code, status] of [
    ['Forbidden', 'False'],
    ['InvalidSpec', 'False'],
    ['GlanceUnavailable', 'False'],
  ] as const) {
    test(`an edit that fails with ${code} is reported at once, and again at its next attempt only`, async () => {
      const why = 'Glance does not take it';
      let tried = 0;
      world.decide(({ op }) => {
        if (op !== 'patch') return 'ok';
        tried++;
        return new OperatorError(why, { code });
      });
      world.edit(specWith({ tags: ['x'] }));
      for (let reconciles = 0; reconciles < 4; reconciles++) {
        const outcome = await world.step();
        const { nextAttemptTime = assert.fail('it is tried again'), lastError, transfer } = world.status ?? {};
        assert.ok(outcome?.kind === 'requeueAfter', 'the reconcile asks for the next attempt');
        assert.ok(outcome.afterMs <= Date.parse(nextAttemptTime) - world.clock.now().getTime());
        assert.deepEqual([tried, lastError?.attempts, lastError?.reason], [1, 1, code]);
        assert.deepEqual(shown(world), {
          ready: `${status} ${code}`,
          generation: 2,
          imageID: current,
          updating: 'Transferring',
        });
        assert.match(
          String(world.message()),
          new RegExp(`${why}. Attempt 1 failed; .* at ${nextAttemptTime.slice(11)}`),
        );
        assert.deepEqual([world.isTransferring(), transfer?.phase], [true, 'Transferring']);
        assert.doesNotMatch(findCondition(world.status?.conditions, 'Updating')?.message ?? '', new RegExp(why));
      }
      assert.equal(world.events.filter((event) => event === `Warning ${code}`).length, 1);
      await untilNextAttempt(world);
      assert.deepEqual([tried, world.status?.lastError?.attempts], [2, 2]);
      world.decide(() => 'ok');
      await untilNextAttempt(world);
      assert.deepEqual(
        [world.ready(), world.status?.lastError, world.status?.nextAttemptTime],
        ['True Ready', undefined, undefined],
      );
      assert.deepEqual(world.images.get(current)?.tags, ['x']);
      await world.release();
      await reached(world, 'b', 'ubuntu');
    });
  }

  test('an edit that the operator cannot apply is reported at once, and the newer file goes on', async () => {
    world.edit(specWith({ properties: { os_glance_x: 'x' } }));
    await world.step();
    assert.deepEqual([world.ready(), world.isTransferring()], ['False InvalidSpec', true]);
    assert.equal(findCondition(world.status?.conditions, 'Stalled')?.reason, 'InvalidSpec');
    await world.step();
    assert.equal(findCondition(world.status?.conditions, 'Stalled')?.reason, 'InvalidSpec');
    world.edit(specWith({}));
    await world.step();
    assert.deepEqual([world.ready(), world.isTransferring()], ['True Ready', true]);
  });

  test('a rejected edit is tried again at once when another one follows', async () => {
    world.decide(({ op }) => (op === 'patch' ? new OperatorError('no', { code: 'Forbidden' }) : 'ok'));
    world.edit(specWith({ tags: ['x'] }));
    await world.step();
    assert.equal(world.ready(), 'False Forbidden');
    world.decide(() => 'ok');
    world.edit(specWith({ tags: ['y'] }));
    await world.step();
    assert.deepEqual([world.ready(), world.images.get(current)?.tags], ['True Ready', ['y']]);
  });

  test('a suspension after an edit that has reached the image to use says that it is as declared', async () => {
    world.edit(specWith({ tags: ['x'] }));
    await world.step();
    world.edit(specWith({ tags: ['x'] }, { suspend: true }));
    await world.step();
    assert.deepEqual([world.ready(), world.isTransferring()], ['True Suspended', false]);
    assert.doesNotMatch(String(world.message()), /has changed/);
    await world.release();
    world.edit(specWith({ tags: ['x'] }));
    await reached(world, 'b', 'ubuntu');
  });

  test('a suspension together with an edit does not claim that the image to use is as declared', async () => {
    world.edit(specWith({ tags: ['x'] }, { suspend: true }));
    await world.step();
    assert.equal(world.ready(), 'Unknown Suspended');
  });

  test('a suspension after an edit that was rejected says that the image to use is not as declared', async () => {
    world.decide(({ op }) => (op === 'patch' ? new OperatorError('no', { code: 'Forbidden' }) : 'ok'));
    world.edit(specWith({ tags: ['x'] }));
    await world.step();
    world.edit(specWith({ tags: ['x'] }, { suspend: true }));
    await world.step();
    assert.equal(world.ready(), 'False Suspended');
  });
});

test('an edit of the tags reaches the image to use while the newer file cannot be downloaded', async () => {
  const { world, current } = await withCurrent();
  await untilDown(world);
  world.edit(specWith({ tags: ['x'] }));
  for (let reconciles = 0; reconciles < 3; reconciles++) {
    await world.step();
    await world.clock.advance(0);
  }
  assert.deepEqual(world.images.get(current)?.tags, ['x']);
  const { ready, generation } = shown(world);
  assert.deepEqual([ready, generation], ['True Ready', 2]);
});

test('a change that Glance rejects is reported for the image to use while a newer file is there', async () => {
  const { world } = await withCurrent();
  await untilDown(world);
  const why = 'Glance does not allow it';
  world.decide(({ op }) => (op === 'patch' ? new OperatorError(why, { code: 'Forbidden' }) : 'ok'));
  world.edit(specWith({ tags: ['x'] }));
  for (let reconciles = 0; reconciles < 4; reconciles++) await world.step();
  assert.match(world.ready(), /^False/);
  assert.match(String(world.message()), new RegExp(why));
});

/** With the image of `a`, and its list read again after it has `b`. */
async function withCurrent() {
  const publisher = publishersOf({ [list]: 'a' }, url);
  const world = createWorld({ spec: specWith({}), following: publisher.following });
  await reached(world, 'a', 'ubuntu');
  const { imageID: current = assert.fail() } = world.status ?? {};
  publisher.publish(list, 'b');
  world.setMetadata({ annotations: { ...world.resource?.metadata.annotations, [reconcileAtAnnotation]: 'now' } });
  return { world, current };
}

async function untilTransferring(world: World): Promise<void> {
  for (let reconciles = 0; reconciles < 10; reconciles++) {
    await world.step();
    if (world.isTransferring()) {
      await world.clock.advance(0);
      await world.step();
      return;
    }
  }
  assert.fail(`${world.ready()}: ${world.message()}`);
}

/** The newer file cannot be downloaded, and the status says so. */
async function untilDown(world: World): Promise<void> {
  world.serve(() => new OperatorError('the publisher is down', { code: 'SourceUnavailable' }));
  for (let reconciles = 0; reconciles < 10; reconciles++) {
    await world.step();
    await world.clock.advance(0);
    if (findCondition(world.status?.conditions, 'Updating')?.status === 'False') return;
  }
  assert.fail(`${world.ready()}: ${world.message()}`);
}

/** Reconciles at the time of the next attempt. */
async function untilNextAttempt(world: World): Promise<void> {
  const { nextAttemptTime = assert.fail('there is a next attempt') } = world.status ?? {};
  await world.clock.advance(Date.parse(nextAttemptTime) - world.clock.now().getTime());
  await world.step();
}

function pendingOf(world: World, current: string): string {
  return [...world.images.keys()].find((id) => id !== current) ?? assert.fail();
}

function shown(world: World) {
  const { imageID, conditions } = world.status ?? {};
  const ready = findCondition(conditions, 'Ready');
  return {
    ready: world.ready(),
    generation: ready?.observedGeneration,
    imageID,
    updating: findCondition(conditions, 'Updating')?.reason,
  };
}

/** Reconciles until the image to use has the data and the name. */
async function reached(world: World, data: string, name: string): Promise<void> {
  for (let reconciles = 0; reconciles < 60; reconciles++) {
    const outcome = await world.step();
    await world.clock.advance(0);
    if (outcome?.kind === 'requeueAfter' && !world.isTransferring())
      await world.clock.advance(Math.min(outcome.afterMs, 60_000));
    const { imageID, source } = world.status ?? {};
    const isThere = imageID !== undefined && world.data.get(imageID) === data && source?.digest === sha256(data);
    if (isThere && world.ready() === 'True Ready' && world.images.get(imageID)?.name === name) return;
  }
  assert.fail(`${world.ready()}: ${world.message()}\n${world.log.join('\n')}\n${world.show().join('\n')}`);
}
