/** The roll to a newer file of a publisher, with a mishap at each of its writes, on a Glance and an API server in memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findCondition } from '../../src/api/conditions.ts';
import { reconcileAtAnnotation } from '../../src/api/group.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { publishersOf } from './following.ts';
import { createWorld, type World } from './world.ts';
import { sha256 } from './world-glance.ts';

const url = 'https://images.example.com/disk.raw';
const list = 'https://images.example.com/SHA256SUMS';

const spec = {
  image: { name: 'ubuntu', diskFormat: 'raw', protected: true },
  content: { http: { url, digestFrom: { checksums: { url: list } } }, update: { interval: '24h' } },
  revisions: { keep: 1 },
};

/** With the image of `a`, and its list read again after it has `b`. */
async function beforeRoll() {
  const publisher = publishersOf({ [list]: 'a' }, url);
  const world = createWorld({ spec, following: publisher.following });
  await reached(world, 'a');
  publisher.publish(list, 'b');
  world.log.length = 0;
  ask(world, 'first');
  return { world, publisher };
}

function ask(world: World, value: string): void {
  world.setMetadata({ annotations: { ...world.resource?.metadata.annotations, [reconcileAtAnnotation]: value } });
}

/** Reconciles until the image to use has the data. */
async function reached(world: World, data: string): Promise<void> {
  for (let reconciles = 0; reconciles < 60; reconciles++) {
    const outcome = await world.step();
    await world.clock.advance(0);
    if (outcome?.kind === 'requeueAfter' && !world.isTransferring())
      await world.clock.advance(Math.min(outcome.afterMs, 60_000));
    const { imageID, source } = world.status ?? {};
    const isThere = imageID !== undefined && world.data.get(imageID) === data && source?.digest === sha256(data);
    if (isThere && world.ready() === 'True Ready' && world.images.get(imageID)?.name === 'ubuntu') return;
  }
  assert.fail(`${world.ready()}: ${world.message()}\n${world.log.join('\n')}\n${world.show().join('\n')}`);
}

const created = (world: World) => world.log.filter((line) => line.startsWith('create ')).length;

async function writesOfRoll(): Promise<number> {
  const { world } = await beforeRoll();
  let writes = 0;
  world.decide(({ op }) => {
    if (op !== 'usage' && op !== 'servers') writes++;
    return 'ok';
  });
  await reached(world, 'b');
  return writes;
}

/** Writes in a row that fail in an outage. */
const outage = 3;

for (const mishap of ['crash-before', 'crash-after', 'status lost', 'lost', 'refused', 'outage'] as const) {
  test(`a newer file of a publisher gets one image, with the mishap "${mishap}" at any write`, async () => {
    const writes = await writesOfRoll();
    assert.ok(writes > 5, `${writes} writes`);
    for (let nth = 1; nth <= writes; nth++) {
      const { world } = await beforeRoll();
      let seen = 0;
      world.decide(({ op }) => {
        if (op === 'usage' || op === 'servers') return 'ok';
        seen++;
        if (mishap === 'outage') return seen >= nth && seen < nth + outage ? 'refused' : 'ok';
        if (seen !== nth) return 'ok';
        if (mishap !== 'status lost') return mishap;
        const { log } = world;
        const length = log.length;
        world.watch(() => {
          if (log.length === length) return;
          world.watch(() => {});
          world.loseStatus();
        });
        return 'ok';
      });
      await steps(world);
      // An operator that was killed right after the request was recorded has forgotten it.
      ask(world, 'second');
      await reached(world, 'b');
      assert.equal(created(world), 1, `write ${nth}\n${world.log.join('\n')}`);
      assert.equal(findCondition(world.status?.conditions, 'Updating'), undefined);
    }
  });
}

test('a newer file whose image was created without a response waits for its next attempt, and the current image stays', async () => {
  const { world } = await beforeRoll();
  const before = world.status?.imageID;
  world.decide(({ op }) => (op === 'create' ? 'lost' : 'ok'));
  for (let i = 0; i < 6; i++) await world.step();
  world.decide(() => 'ok');
  const shown = () => findCondition(world.status?.conditions, 'Updating');
  assert.deepEqual([world.ready(), world.status?.imageID], ['True Ready', before]);
  assert.deepEqual([shown()?.status, shown()?.reason], ['False', 'GlanceUnreachable']);
  assert.match(
    shown()?.message ?? '',
    /^the publisher has sha256:.*the response was lost.* Attempt 1 failed; the operator retries at /,
  );
  assert.ok(world.events.includes('Warning GlanceUnreachable'));
  const { reads, writes } = world.calls;
  const outcome = await world.step();
  assert.equal(outcome?.kind, 'requeueAfter', 'not before its time');
  assert.deepEqual([world.calls.reads, world.calls.writes, world.images.size], [reads, writes, 2]);
  await reached(world, 'b');
  assert.equal(created(world), 1, world.log.join('\n'));
  assert.deepEqual([world.status?.lastError, world.status?.nextAttemptTime], [undefined, undefined]);
});

test('a newer file that waits for its next attempt at a restart gets the same image', async () => {
  const { world } = await beforeRoll();
  world.serve(() => new OperatorError('the source is down', { code: 'SourceUnavailable' }));
  await steps(world);
  assert.equal(findCondition(world.status?.conditions, 'Updating')?.reason, 'SourceUnavailable');
  assert.equal(world.ready(), 'True Ready');
  await world.restart();
  world.serve(() => 'b');
  await reached(world, 'b');
  assert.equal(created(world), 1, world.log.join('\n'));
});

const losses: Record<string, (world: World) => Promise<void> | void> = {
  'a restart': (world) => world.restart(),
  'a lost status': (world) => world.loseStatus(),
  'a restart and a lost status': async (world) => {
    await world.restart();
    world.loseStatus();
  },
};

for (const [loss, lose] of Object.entries(losses))
  test(`a list that fails right after ${loss} keeps the image of a newer file, which goes on to be made`, async () => {
    const { world, publisher } = await beforeRoll();
    world.serve(() => new OperatorError('the source is down', { code: 'SourceUnavailable' }));
    await steps(world);
    publisher.publish(list, new OperatorError('the list is down', { code: 'SourceUnavailable' }));
    await lose(world);
    ask(world, 'second');
    await steps(world);
    assert.deepEqual([created(world), world.images.size], [1, 2], world.log.join('\n'));
    world.serve(() => 'b');
    await reached(world, 'b');
    assert.equal(created(world), 1, world.log.join('\n'));
    assert.equal(world.log.filter((line) => line.startsWith('delete ')).length, 0, world.log.join('\n'));
  });

test('a newer file whose image is suspended at a restart gets the same image once it is resumed', async () => {
  const { world, publisher } = await beforeRoll();
  world.serve(() => new OperatorError('the source is down', { code: 'SourceUnavailable' }));
  await steps(world);
  publisher.publish(list, new OperatorError('the list is down', { code: 'SourceUnavailable' }));
  world.edit({ ...spec, suspend: true });
  await world.restart();
  await steps(world);
  world.edit(spec);
  world.serve(() => 'b');
  await reached(world, 'b');
  assert.equal(created(world), 1, world.log.join('\n'));
});

/** With an image of `b` that waits for its next attempt. */
async function whileWaiting() {
  const { world, publisher } = await beforeRoll();
  world.serve(() => new OperatorError('the source is down', { code: 'SourceUnavailable' }));
  await steps(world);
  assert.equal(world.images.size, 2);
  return { world, publisher };
}

for (const next of ['a', 'c'])
  test(`a newer file that waits for its next attempt leaves no image behind once the list has ${next} instead`, async () => {
    const { world, publisher } = await whileWaiting();
    publisher.publish(list, next);
    world.serve(() => next);
    ask(world, 'second');
    await reached(world, next);
    await steps(world);
    const data = [...world.images.keys()].map((id) => world.data.get(id)).toSorted();
    assert.deepEqual(data, next === 'a' ? ['a'] : ['a', 'c'], world.log.join('\n'));
    assert.equal(findCondition(world.status?.conditions, 'Updating'), undefined);
    assert.equal(world.status?.operation?.['candidate'], undefined);
  });

for (const code of ['FormatMismatch', 'DigestMismatch', 'SourceNotFound'] as const)
  test(`a newer file that fails with ${code} leaves no image behind, and is tried again at growing times`, async () => {
    const { world } = await beforeRoll();
    const before = world.status?.imageID;
    world.serve(() => new OperatorError('it is another file', { code }));
    for (let hour = 1; hour <= 48; hour++) {
      await steps(world);
      const log = world.log.join('\n');
      assert.ok(created(world) <= hour, `${created(world)} images within ${hour} hours\n${log}`);
      assert.equal(world.images.size, 1, log);
      assert.equal(world.status?.operation?.['candidate'], undefined);
      assert.deepEqual([world.ready(), world.status?.imageID], ['True Ready', before]);
      assert.equal(findCondition(world.status?.conditions, 'Updating')?.reason, code);
      await world.clock.advance(3_600_000);
    }
    world.serve(() => 'b');
    await reached(world, 'b');
    assert.equal(findCondition(world.status?.conditions, 'Updating'), undefined);
  });

const disappearances: Record<string, (world: World, id: string) => void> = {
  'is deleted by another client': (world, id) => world.foreignDelete(id),
  'is forgotten with the memory': (world) => world.loseOperation(),
};

for (const [what, lose] of Object.entries(disappearances))
  for (const begins of ['before', 'after'])
    test(`an image that ${what} ${begins} the transfer of a newer file begins is never Ready without an image, and gets the newer file`, async () => {
      const { world } = await beforeRoll();
      const { imageID = assert.fail() } = world.status ?? {};
      world.hold();
      if (begins === 'before') await world.step();
      else await steps(world);
      assert.deepEqual([world.ready(), world.isTransferring()], ['True Ready', begins === 'after']);
      lose(world, imageID);
      // Each step checks the status that it writes.
      await steps(world);
      await world.release();
      await reached(world, 'b');
    });

async function steps(world: World): Promise<void> {
  for (let i = 0; i < 12; i++) {
    await world.step();
    await world.clock.advance(0);
  }
}
