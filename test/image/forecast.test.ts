/** The forecast for a resource, against the steps that the operator then takes, on a Glance in memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Action, Forecast } from '../../src/image/ahead/forecast.ts';
import { ahead, type World } from './looking.ts';
import { createWorld } from './world.ts';
import { sha256, specOf } from './world-glance.ts';

/** As the log of the world has it. */
function lineOf(action: Action): string[] {
  switch (action.kind) {
    case 'step': {
      const { step } = action;
      if (step.kind === 'record') return [];
      const id = step.kind === 'create' ? step.imageID : 'image' in step ? step.image.id : '';
      return [`${step.kind} ${id.slice(0, 4)}`];
    }
    case 'transfer':
      return action.purpose === 'fill' ? [`put ${action.image.id.slice(0, 4)}`] : [];
    default:
      return [];
  }
}

const isChange = (line: string) =>
  /^(create|patch|delete|put|import|deactivate|reactivate|addMember|removeMember) /.test(line);

async function compare(world: World): Promise<Forecast> {
  world.log.length = 0;
  const forecast = await ahead(world);
  assert.deepEqual(world.log, [], 'looking ahead writes nothing');
  await world.settle();
  // Data that is read back may be wrong, and then other steps follow.
  const reading = forecast.actions.findIndex((one) => one.kind === 'transfer' && one.purpose === 'verify');
  const sure = (reading < 0 ? forecast.actions : forecast.actions.slice(0, reading)).flatMap(lineOf);
  const taken = world.log.filter(isChange);
  const isAll = reading < 0 && forecast.end.kind !== 'unknown';
  assert.deepEqual(isAll ? taken : taken.slice(0, sure.length), sure);
  if (reading < 0 && forecast.end.kind === 'settled') assert.equal(world.ready(), 'True Ready');
  return forecast;
}

test('the steps that are forecast for a new resource, for an edit and for another content are those that the operator takes', async () => {
  const world = createWorld({ spec: specOf('a') });
  const first = await compare(world);
  assert.deepEqual(
    first.actions.map(({ kind }) => kind),
    ['step', 'transfer'],
  );
  assert.equal(first.end.kind, 'settled');
  world.edit({ ...specOf('a'), image: { ...specOf('a').image, minDiskGiB: 3 } });
  await compare(world);
  world.edit(specOf('b'));
  await compare(world);
  const last = await compare(world);
  assert.deepEqual([last.actions, last.end.kind], [[], 'settled']);
});

test('the forecast for a resource that is being deleted is not that there is nothing to do', async () => {
  const metadata = { deletionTimestamp: '2026-01-02T00:00:00Z', finalizers: ['glance-image-operator.dev/finalizer'] };
  const { end } = await ahead(createWorld({ spec: specOf('a'), metadata }));
  assert.deepEqual(end, { kind: 'unknown', why: 'it is being deleted, and that is not planned' });
});

const anySpec = fc.record({
  text: fc.constantFrom('a', 'b', 'c'),
  name: fc.constantFrom('ubuntu', 'debian'),
  hidden: fc.boolean(),
  minDiskGiB: fc.nat(3),
  keep: fc.nat(2),
});

/** What another client does in between. */
const anyChange = fc.constantFrom('nothing', 'rename', 'delete', 'deactivate', 'unmark', 'hide');

test('the steps that are forecast are those that the operator takes, whatever was declared before and whatever another client did', async () => {
  const specFrom = ({ text, keep, ...image }: { text: string; keep: number }) => {
    const spec = specOf(text);
    return { ...spec, image: { ...spec.image, ...image }, revisions: { keep } };
  };
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(anySpec, anyChange), { minLength: 1, maxLength: 4 }), async (edits) => {
      const [[first] = assert.fail()] = edits;
      const world = createWorld({ spec: specFrom(first) });
      for (const [index, [spec, change]] of edits.entries()) {
        if (index > 0) world.edit(specFrom(spec));
        await compare(world);
        meddle(world, change);
      }
    }),
    { numRuns: 80, seed: 20260103 },
  );
});

function meddle(world: World, change: string): void {
  const id = world.status?.imageID;
  const image = id === undefined ? undefined : world.images.get(id);
  if (image === undefined) return;
  if (change === 'rename') world.put({ ...image, name: 'other' });
  if (change === 'hide') world.put({ ...image, hidden: !image.hidden });
  if (change === 'deactivate') world.put({ ...image, status: 'deactivated' });
  if (change === 'unmark') world.put({ ...image, properties: {} });
  if (change === 'delete') world.images.delete(image.id);
}

const anyShared = fc.record({
  text: fc.constantFrom('a', 'b', 'c'),
  keep: fc.nat(2),
  pin: fc.option(fc.constantFrom('a', 'b', 'c'), { nil: undefined, freq: 2 }),
  visibility: fc.constantFrom('private', 'shared', 'community'),
  members: fc.option(fc.subarray(['p', 'q']), { nil: undefined }),
  state: fc.option(fc.constantFrom('Active', 'Deactivated'), { nil: undefined }),
  retired: fc.constantFrom({ hidden: true }, { hidden: false }),
});
type Shared = typeof anyShared extends fc.Arbitrary<infer T> ? T : never;

test('the steps that are forecast are those that the operator takes, whatever members, pins and states were declared before', async () => {
  const specFrom = ({ text, keep, pin, visibility, members, state, retired }: Shared) => {
    const spec = specOf(text);
    const projects = visibility === 'shared' && members !== undefined ? { members: { projects: members } } : {};
    const image = { ...spec.image, visibility, ...projects, ...(state === undefined ? {} : { state }) };
    return { ...spec, image, revisions: { keep, retired, ...(pin === undefined ? {} : { pin: sha256(pin) }) } };
  };
  await fc.assert(
    fc.asyncProperty(fc.array(anyShared, { minLength: 1, maxLength: 4 }), async (edits) => {
      const [first = assert.fail()] = edits;
      const world = createWorld({ spec: specFrom(first) });
      for (const [index, spec] of edits.entries()) {
        if (index > 0) world.edit(specFrom(spec));
        await compare(world);
      }
    }),
    { numRuns: 20, seed: 20260105 },
  );
});
