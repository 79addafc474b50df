/** The ID of an image that may have been requested is used up before its resource goes, whatever Glance responds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clusterProperty, imageIDOf, ownerProperty } from '../../src/image/model/identity.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { imageOf } from './resource.ts';
import { createWorld, type World } from './world.ts';
import { type Call, type Fate, specOf } from './world-glance.ts';

/** Longer than an absent image is doubted, and than the deletions of these tests take. */
const lateMs = 5_000_000;

const idOf = (world: World, number: number) => imageIDOf(world.resource?.metadata.uid ?? assert.fail(), number);

/** The resource is deleted after the operator was killed with its first request on its way. */
async function killedAtCreation(
  whileDeleting: (call: Call, nth: number) => Fate,
  prepare: (world: World) => void = () => {},
  spec: Record<string, unknown> = specOf('a'),
  most = 8,
): Promise<World> {
  const world = createWorld({ spec, lateMs });
  prepare(world);
  await world.clock.advance(60_000);
  let isSent = false;
  let nth = 0;
  world.decide((call) => {
    if (isSent) return whileDeleting(call, call.op === 'create' ? ++nth : nth);
    const isTaken = call.id !== undefined && world.used.has(call.id);
    isSent = call.op === 'create' && !isTaken;
    return isSent ? 'crash-late' : 'ok';
  });
  for (let steps = 0; steps < 10 && !isSent; steps++) {
    await world.step();
    await world.clock.advance(2_000);
  }
  assert(isSent);
  world.delete();
  await world.settle(most);
  return world;
}

async function assertNothingLeft(world: World): Promise<void> {
  assert.equal(world.resource, undefined, 'the resource is still there');
  await world.clock.advance(2 * lateMs);
  assert.deepEqual(world.show(), []);
}

test('the ID behind one that another project uses is used up too', async () => {
  const world = await killedAtCreation(
    () => 'ok',
    (one) => one.used.add(idOf(one, 0)),
  );
  await assertNothingLeft(world);
  assert.deepEqual(world.log.filter((line) => line.startsWith('create')).length, 1);
});

test('an image of this ID that another cluster has marked does not keep the resource', async () => {
  const world = createWorld({ spec: specOf('a'), lateMs });
  await world.clock.advance(60_000);
  world.decide(({ op }) => (op === 'create' ? 'crash-late' : 'ok'));
  await world.step();
  world.decide(() => 'ok');
  const id = idOf(world, 0);
  world.used.add(id);
  world.put(imageOf({ id, properties: { [ownerProperty]: world.mark, [clusterProperty]: 'another' } }));
  world.delete();
  await world.settle();
  await world.clock.advance(2 * lateMs);
  assert.deepEqual([world.resource, world.show().length], [undefined, 1]);
});

test('an image that came late and that a database which lags behind does not show yet is waited for', async () => {
  const world = createWorld({ spec: specOf('a'), lateMs: 8_000 });
  await world.clock.advance(60_000);
  const id = idOf(world, 0);
  world.lagging.add(id);
  world.decide(({ op }) => (op === 'create' && !world.used.has(id) ? 'crash-late' : 'ok'));
  await world.step();
  world.delete();
  await world.clock.advance(10_000);
  assert.equal((await world.step())?.kind, 'requeueAfter');
  world.lagging.delete(id);
  await world.settle();
  assert.deepEqual([world.resource, world.show()], [undefined, []]);
});

const retained = specOf('a', {}, { deletionPolicy: 'Retain' });

for (const [outcome, fate] of [
  ['its response is lost', 'lost'],
  ['Glance is not available', 'refused'],
  ['the operator is killed after it', 'crash-after'],
  ['the operator is killed before it', 'crash-before'],
  ['it takes longer than the reconcile', 'timeout-late'],
] as const)
  for (const [op, policy, spec] of ['create', 'delete'].flatMap((one) => [
    [one, 'Delete', specOf('a')] as const,
    [one, 'Retain', retained] as const,
  ]))
    test(`no image is left when ${outcome}, where an ID is used up (${op}, ${policy})`, async () => {
      let isFirst = true;
      const first = (call: Call) => {
        if (call.op !== op || !isFirst) return 'ok';
        isFirst = false;
        return fate;
      };
      const world = await killedAtCreation(first, undefined, spec);
      assert.equal(isFirst, false);
      await world.settle();
      await assertNothingLeft(world);
    });

test('a resource whose images stay says for ten minutes that its next ID cannot be used up, and then goes', async () => {
  const down = new OperatorError('the database is gone', { code: 'GlanceUnavailable' });
  const world = await killedAtCreation(({ op }) => (op === 'create' ? down : 'ok'), undefined, retained);
  assert.match(world.message() ?? '', /^cannot complete the deletion yet: .*the database is gone/);
  assert.doesNotMatch(world.message() ?? '', /leave its image in Glance/);
  await world.clock.advance(600_000);
  await world.settle();
  assert.equal(world.resource, undefined);
});

test('a resource whose images stay waits for ten minutes while Glance does not show what was requested', async () => {
  for (const isBackSoon of [true, false]) {
    let isDown = true;
    const fail = ({ cloud: { images } }: World) => {
      const { list } = images;
      images.list = (...given) => {
        if (isDown) throw new OperatorError('the database is gone', { code: 'GlanceUnavailable' });
        return list(...given);
      };
    };
    const world = await killedAtCreation(() => 'ok', fail, retained, 4);
    assert.match(world.message() ?? '', /^cannot complete the deletion yet: the database is gone/);
    isDown = !isBackSoon;
    await world.clock.advance(isBackSoon ? 0 : 600_000);
    await world.settle();
    if (isBackSoon) await assertNothingLeft(world);
    assert.equal(world.resource, undefined);
  }
});

test('a resource goes although Glance does not let its next ID be used up', async () => {
  for (const code of ['Forbidden', 'QuotaExceeded', 'InvalidRequest', 'PropertyProtected', 'ProxyRefused'] as const) {
    const world = await killedAtCreation(({ op }) => (op === 'create' ? new OperatorError('no', { code }) : 'ok'));
    assert.equal(world.resource, undefined, code);
  }
});

for (const code of ['AuthenticationFailed', 'SessionClosed', 'ServiceAccountForbidden', 'EgressRefused'] as const)
  test(`a resource stays while its next ID cannot be used up for a reason that is not one of Glance (${code})`, async () => {
    let isPast = false;
    const fate = ({ op }: Call) => (op === 'create' && !isPast ? new OperatorError('no', { code }) : 'ok');
    const world = await killedAtCreation(fate, undefined, undefined, 2);
    assert.match(
      world.message() ?? '',
      /^cannot delete the image: an earlier request may still create image .* failed: no/,
    );
    isPast = true;
    await world.settle();
    assert.equal(world.resource, undefined);
  });

test('a deletion says why it waits when Glance fails at each creation, and goes on when that ends', async () => {
  let isDown = true;
  const down = new OperatorError('the database is gone', { code: 'GlanceUnavailable' });
  const world = await killedAtCreation(({ op }) => (op === 'create' && isDown ? down : 'ok'));
  assert.match(world.message() ?? '', /the database is gone/);
  isDown = false;
  await world.settle();
  await assertNothingLeft(world);
});

test('the deletion of a resource whose image this process has created makes no other image', async () => {
  const world = createWorld({ spec: specOf('a') });
  await world.settle();
  await world.clock.advance(60_000);
  world.delete();
  await world.settle();
  assert.equal(world.resource, undefined);
  assert.equal(world.used.size, 1);
});

for (const [when, afterMs, created] of [
  ['a minute', 60_000, 2],
  ['ten minutes', 600_000, 1],
] as const)
  test(`${when} after a restart, the deletion of a resource that lost its status uses ${created - 1} more ID up`, async () => {
    const world = createWorld({ spec: specOf('a') });
    await world.settle();
    await world.restart();
    await world.clock.advance(afterMs);
    world.loseStatus();
    world.delete();
    await world.settle();
    assert.equal(world.resource, undefined);
    assert.equal(world.used.size, created);
  });

test('an image is Ready although the next ID, which is not needed any more, cannot be used up yet', async () => {
  const world = createWorld({ spec: specOf('a'), lateMs });
  await world.settle();
  await world.clock.advance(60_000);
  let isSent = false;
  let isDown = true;
  world.decide(({ op }) => {
    if (op !== 'create' || !isDown) return 'ok';
    if (isSent) return new OperatorError('the database is gone', { code: 'GlanceUnavailable' });
    isSent = true;
    return 'crash-late';
  });
  world.edit(specOf('b'));
  while (!isSent) await world.step();
  world.edit(specOf('a'));
  for (let steps = 0; steps < 5; steps++) {
    await world.step();
    await world.clock.advance(2_000);
  }
  assert.deepEqual([world.ready(), world.used.size], ['True Ready', 1]);
  isDown = false;
  await world.clock.advance(570_000);
  await world.step();
  assert.deepEqual([world.ready(), world.used.size], ['True Ready', 2]);
  await world.clock.advance(lateMs);
  assert.equal(world.show().length, 1);
});

/** A second image was requested by an operator that was killed. Since then, `fate` decides. */
async function secondRequested(fate: (call: Call) => Fate): Promise<World> {
  const world = createWorld({ spec: specOf('a'), lateMs });
  await world.settle();
  await world.clock.advance(60_000);
  let isSent = false;
  world.decide((call) => {
    if (isSent) return fate(call);
    isSent = call.op === 'create';
    return isSent ? 'crash-late' : 'ok';
  });
  world.edit(specOf('b'));
  while (!isSent) await world.step();
  return world;
}

for (const [status, lose] of [
  ['its status', () => {}],
  ['a status that was lost', (world: World) => world.loseStatus()],
] as const)
  test(`a deletion with ${status} that fails at first does not forget what was requested`, async () => {
    let isFirst = true;
    const world = await secondRequested(({ op }) => {
      if (op !== 'delete' || !isFirst) return 'ok';
      isFirst = false;
      return 'refused';
    });
    lose(world);
    world.delete();
    await world.settle();
    assert.equal(isFirst, false);
    await assertNothingLeft(world);
  });

test('a creation for which there is no room and that is not needed any more does not forget what was requested', async () => {
  const world = await secondRequested(() => 'ok');
  world.calls.usage = { image_count_total: { limit: 1, usage: 1 } };
  for (let steps = 0; steps < 5; steps++) {
    await world.step();
    await world.clock.advance(2_000);
  }
  assert.match(world.message() ?? '', /no room for another revision/);
  world.edit(specOf('a'));
  await world.settle(8);
  await world.clock.advance(lateMs);
  assert.deepEqual([world.ready(), world.show().length], ['True Ready', 1]);
});

for (const fate of ['lost', 'refused'] as const)
  test(`an image that is Ready and never compared is looked at until its next ID is used up (${fate})`, async () => {
    const never = { interval: '0' };
    const world = createWorld({ spec: specOf('a', {}, never), lateMs: 300_000 });
    await world.settle();
    await world.clock.advance(60_000);
    let creations = 0;
    world.decide(({ op }) => {
      if (op !== 'create') return 'ok';
      creations++;
      return creations === 1 ? 'crash-late' : creations === 2 ? fate : 'ok';
    });
    world.edit(specOf('b', {}, never));
    while (creations === 0) await world.step();
    world.edit(specOf('a', {}, never));
    await world.step();
    await world.clock.advance(5_000);
    const outcome = await world.step();
    assert.deepEqual([world.ready(), creations, outcome], ['True Ready', 2, { kind: 'requeueAfter', afterMs: 60_000 }]);
    await world.clock.advance(60_000);
    assert.deepEqual(await world.step(), { kind: 'awaitChange' });
    await world.clock.advance(300_000);
    assert.deepEqual([world.ready(), world.show().length], ['True Ready', 1]);
  });

/** A second image was requested by this process, and the status was lost. */
async function forgottenRequest(): Promise<World> {
  const world = createWorld({ spec: specOf('a'), lateMs: 30_000 });
  await world.settle();
  await world.clock.advance(700_000);
  let isSent = false;
  world.decide(({ op }) => {
    if (op !== 'create' || isSent) return 'ok';
    isSent = true;
    return 'timeout-late';
  });
  world.edit(specOf('b'));
  while (!isSent) await world.step();
  await world.clock.advance(10_000);
  world.loseStatus();
  return world;
}

test('a second image that is not needed any more does not appear although the status was lost', async () => {
  const world = await forgottenRequest();
  world.edit(specOf('a'));
  await world.settle();
  await world.clock.advance(60_000);
  assert.deepEqual([world.ready(), world.show().length], ['True Ready', 1]);
});

test('a deletion with a lost status records what may still appear before it waits for it', async () => {
  const world = await forgottenRequest();
  const id = idOf(world, 1);
  await world.clock.advance(19_000);
  world.lagging.add(id);
  await world.clock.advance(2_000);
  assert(world.used.has(id));
  world.delete();
  await world.step();
  assert.match(world.message() ?? '', /an earlier request may have created it/);
  await world.clock.advance(4_000);
  await world.step();
  world.lagging.delete(id);
  await world.settle();
  assert.deepEqual([world.resource, world.show()], [undefined, []]);
});

for (const [content, more] of [
  ['content', {}],
  ['no content', { content: undefined }],
] as const) {
  const spec = { ...retained, ...more };

  test(`an image that only kept its ID does not stay when its deletion fails at first (Retain, ${content})`, async () => {
    let failures = 0;
    const world = await killedAtCreation(
      ({ op }) => (op === 'delete' && ++failures < 4 ? 'refused' : 'ok'),
      undefined,
      spec,
    );
    await world.settle();
    await assertNothingLeft(world);
  });

  test(`an image that only kept its ID and is never deleted keeps its resource for ten minutes (Retain, ${content})`, async () => {
    const world = await killedAtCreation(({ op }) => (op === 'delete' ? 'refused' : 'ok'), undefined, spec);
    assert.match(world.message() ?? '', /^cannot complete the deletion yet: /);
    await world.clock.advance(600_000);
    await world.settle();
    assert.equal(world.resource, undefined);
  });
}

test('an image of another cluster next to ours is still reported when an ID could be used up', async () => {
  const world = await secondRequested(() => 'ok');
  const other = '11111111-1111-4111-8111-111111111111';
  world.put(imageOf({ id: other, properties: { [ownerProperty]: world.mark, [clusterProperty]: 'another' } }));
  world.edit(specOf('a'));
  const seen = [];
  await world.clock.advance(5_000);
  for (let steps = 0; steps < 3; steps++) {
    const outcome = await world.step();
    seen.push(world.ready());
    await world.clock.advance(outcome?.kind === 'requeueAfter' ? outcome.afterMs : 60_000);
  }
  assert.deepEqual(seen, Array(3).fill('False TakenOver'));
  assert.deepEqual(world.show().length, 2);
});
