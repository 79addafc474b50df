/**
 * A status that is lost at any step: the image stays the same where its data can be read back and compared, and otherwise there is one
 * new revision, once.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decompressed } from './status-laws.ts';
import { createWorld, type World } from './world.ts';
import { sha256, sha512, specOf } from './world-glance.ts';

/** Not comparable: the declared digest is that of a file which is decompressed, so the data in Glance has another one. */
function worldOf(isComparable: boolean): World {
  const world = createWorld({ spec: specOf('a') });
  if (!isComparable) world.serve(() => decompressed);
  return world;
}

const statesOf = ({ status }: World) => status?.revisions?.map(({ state }) => state);

const revisions = ({ log }: World) => log.filter((line) => line.startsWith('create')).length;

/** How many writes to Glance and to the status a new resource causes, the upload included. */
async function writesUntilReady(isComparable: boolean): Promise<number> {
  const world = worldOf(isComparable);
  let writes = 0;
  world.watch(() => writes++);
  await world.settle();
  assert.equal(world.ready(), 'True Ready');
  return writes;
}

/** The world right after the status was lost, directly after that write. */
async function lostAfter(write: number, isComparable: boolean): Promise<World> {
  const world = worldOf(isComparable);
  let writes = 0;
  world.watch(() => {
    writes++;
    if (writes === write) world.loseStatus();
  });
  while (writes < write) {
    await world.step();
    await world.clock.advance(0);
  }
  return world;
}

/** With one visible image that is Ready, and nothing left to do. */
async function assertSettles(world: World, expected: readonly number[], what: string): Promise<void> {
  await world.settle();
  assert.equal(world.ready(), 'True Ready', what);
  const visible = [...world.images.values()].filter(({ hidden }) => !hidden);
  assert.equal(visible.length, 1, `${what}: ${world.show().join(', ')}`);
  assert.ok(
    expected.includes(revisions(world)),
    `${what}: ${revisions(world)} revisions, not ${expected.join(' or ')}`,
  );
  const { writes, statuses } = world.calls;
  for (let reconciles = 0; reconciles < 3; reconciles++) await world.step();
  assert.deepEqual([world.calls.writes, world.calls.statuses], [writes, statuses], `${what}: nothing is left to do`);
}

for (const isComparable of [true, false]) {
  const data = isComparable ? 'data that can be read back' : 'data that cannot be compared';

  test(`a status that is lost after any write leads to the same image, or one new revision: ${data}`, async () => {
    const writes = await writesUntilReady(isComparable);
    assert.ok(writes >= 5, 'the finalizer, the creation, both ends of the upload and the status');
    for (let write = 1; write <= writes; write++) {
      const world = await lostAfter(write, isComparable);
      // The process knows what it has just uploaded, until it has written that.
      await assertSettles(world, isComparable || write < writes ? [1] : [2], `after write ${write}`);
    }
  });

  test(`a status that is lost after any write, with the process, leads to the same image, or one new revision: ${data}`, async () => {
    const writes = await writesUntilReady(isComparable);
    for (let write = 1; write <= writes; write++) {
      const world = await lostAfter(write, isComparable);
      await world.restart();
      const isKnown = world.status?.operation !== undefined;
      const isActive = [...world.images.values()].some(({ status }) => status === 'active');
      await assertSettles(world, isComparable || isKnown || !isActive ? [1] : [2], `after write ${write}`);
    }
  });

  test(`a status that is lost again leads to the same image, or to one new revision each time: ${data}`, async () => {
    const world = worldOf(isComparable);
    await assertSettles(world, [1], 'at first');
    for (let losses = 1; losses <= 3; losses++) {
      world.loseStatus();
      await assertSettles(world, [isComparable ? 1 : 1 + losses], `after ${losses} losses`);
    }
  });

  test(`a status that is lost after any write of an edit leads to the declared image, with at most one more revision: ${data}`, async () => {
    for (let write = 1, isOver = false; !isOver; write++) {
      const world = worldOf(isComparable);
      await world.settle();
      let writes = 0;
      world.watch(() => {
        writes++;
        if (writes === write) world.loseStatus();
      });
      world.edit(specOf('b'));
      await world.settle();
      isOver = writes < write;
      await assertSettles(world, isComparable || isOver ? [2] : [2, 3], `after write ${write}`);
    }
  });
}

for (const [what, digest] of [
  ['comparable', undefined],
  ['of another algorithm', `sha512:${sha512('a')}`],
] as const) {
  test(`a hidden image to use, whose status is lost at an edit, stays until another one takes its place: the digests are ${what}`, async () => {
    const spec = specOf('a', { hidden: true }, { revisions: { keep: 0 } });
    const http = { ...spec.content.http, ...(digest === undefined ? {} : { digest }) };
    const world = createWorld({ spec: { ...spec, content: { http } } });
    world.serve(({ digest: one }) => (one === sha256('b') ? 'b' : 'a'));
    await world.settle();
    world.loseStatus();
    world.edit({ ...spec, ...specOf('b', { hidden: true }) });
    const actives: number[] = [];
    world.watch(() => actives.push([...world.images.values()].filter(({ status }) => status === 'active').length));
    await world.settle();
    assert.equal(world.ready(), 'True Ready');
    assert.deepEqual(world.show(), ['fd16 ubuntu active hidden b marked']);
    assert.ok(
      actives.every((count) => count > 0),
      `an image is there at each moment: ${world.log.join(', ')}`,
    );
  });
}

test('a memory that is lost while nothing is looked at leaves neither a revision that is shown as the one to use nor Ready', async () => {
  const world = worldOf(true);
  await world.settle();
  assert.deepEqual(statesOf(world), ['Current']);
  world.loseOperation();
  world.edit({ ...specOf('a'), suspend: true });
  await world.settle();
  assert.deepEqual(
    [world.ready(), world.status?.imageID, statesOf(world)],
    ['Unknown Suspended', undefined, ['Pending']],
  );
  world.edit(specOf('a'));
  await world.settle();
  assert.deepEqual([world.ready(), statesOf(world)], ['True Ready', ['Current']]);
});
