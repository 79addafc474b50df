/** Laws of plans for an image that is taken over, for any state of it, of its mark, its data and other images of the resource. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { keyIn } from '../../src/glance/patch.ts';
import type { Desired } from '../../src/image/model/desired.ts';
import { imageIDOf, markProperties } from '../../src/image/model/identity.ts';
import { isOurs } from '../../src/image/model/ownership.ts';
import { simulate } from '../../src/image/model/simulate.ts';
import type { Plan, PlanStep, State } from '../../src/image/model/step.ts';
import { claimOf, revisionOf } from '../../src/image/observe/observe.ts';
import { plan } from '../../src/image/plan/plan.ts';
import { remembered } from '../../src/image/reconcile/follow.ts';
import { uid } from './resource.ts';
import { desiredOf, now, outline, owner } from './states.ts';
import { anyWorld, declarationOf, desiredIn, stateIn, type World } from './worlds.ts';

const id = imageIDOf(uid, 0);

interface Adoption {
  world: World;
  /** What is declared beyond the import. */
  declared: 'nothing' | 'everything';
  isTaken: boolean;
  compared: 'never' | 'declared' | 'earlier';
}

const anyAdoption: fc.Arbitrary<Adoption> = fc.record({
  world: anyWorld.filter(({ images }) => images.length > 0),
  declared: fc.constantFrom('nothing', 'everything'),
  isTaken: fc.boolean(),
  compared: fc.constantFrom('never', 'declared', 'earlier'),
});

interface Story {
  desired: Desired;
  state: State;
  plan: Plan;
  moments: { before: State; step: PlanStep }[];
  end: State;
}

function storyOf({ world, declared, isTaken, compared }: Adoption): Story {
  const { spec } = declarationOf(world);
  const imported = { import: { id }, deletionPolicy: 'Delete' };
  const desired = desiredOf({ spec: declared === 'nothing' ? imported : { ...spec, ...imported } });
  const before = stateIn(world);
  const content = { never: undefined, declared: desiredIn(world).fingerprint, earlier: 'v1;earlier' }[compared];
  const memory = {
    ...before.memory,
    ...(isTaken ? { adopted: id } : {}),
    ...(content === undefined ? {} : { adoptedContent: content }),
  };
  const claim = claimOf({ ...owner, adopts: id }, memory);
  const revisions = before.observed.revisions.map(({ image }) => revisionOf(image, claim));
  const state = { observed: { ...before.observed, revisions }, memory };
  const planned = plan(desired, state, now);
  let end: State = state;
  const moments = planned.steps.map((step) => {
    const at = end;
    end = simulate(at, step, now);
    return { before: at, step };
  });
  return { desired, state, plan: planned, moments, end };
}

function law(name: string, check: (story: Story, adoption: Adoption) => void): void {
  test(name, () => {
    fc.assert(
      fc.property(anyAdoption, (adoption) => check(storyOf(adoption), adoption)),
      { numRuns: 1_000, seed: 20260102 },
    );
  });
}

const adopted = ({ observed }: State) => observed.revisions.find(({ image }) => image.id === id);

law(
  'after the steps of a plan that takes an image over, no step is left',
  ({ desired, plan: { next, steps }, end }) => {
    if (next.kind === 'blocked' && steps.at(-1)?.kind === 'delete') return;
    assert.deepEqual(outline(plan(desired, end, now)), outline({ steps: [], next }));
    if (next.kind !== 'settled') return;
    const memory = remembered(end.memory, next, end.observed, desired, now);
    assert.deepEqual(outline(plan(desired, { observed: end.observed, memory }, now)), outline({ steps: [], next }));
  },
);

law('no step touches a foreign image that was to be taken over', ({ state, moments }) => {
  if (adopted(state)?.ownership.kind !== 'foreign') return;
  for (const { step } of moments) assert.ok(!('image' in step) || step.kind === 'create' || step.image.id !== id);
});

law('import alone changes nothing of the only image but its marks', ({ moments }, { declared, world }) => {
  if (declared !== 'nothing' || world.images.length > 1) return;
  for (const { step } of moments) {
    if (step.kind === 'record') continue;
    assert.ok(step.kind === 'patch', step.kind);
    for (const operation of step.operations) assert.ok(markProperties.includes(keyIn(operation)), operation.path);
  }
});

law('an image that is not taken over yet is never deleted', ({ moments }) => {
  for (const { before, step } of moments) {
    if (step.kind !== 'delete' || step.image.id !== id) continue;
    const revision = adopted(before);
    assert.ok(revision !== undefined && isOurs(revision.ownership));
  }
});

law(
  'the only image is never deleted or replaced until another content is declared',
  ({ desired, moments, state }, { world }) => {
    const { adoptedContent } = state.memory;
    const isNew = adoptedContent !== undefined && adoptedContent !== desired.fingerprint;
    if (isNew || world.images.length > 1) return;
    for (const { step } of moments) assert.ok(step.kind !== 'delete' && step.kind !== 'create', step.kind);
  },
);
