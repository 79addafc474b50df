/** Laws of plans for members and states, for any combination of what is declared, what Glance holds and what is remembered. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Desired } from '../../src/image/model/desired.ts';
import { isUsable, stageOf } from '../../src/image/model/revisions.ts';
import { simulate } from '../../src/image/model/simulate.ts';
import type { Plan, PlanStep, State } from '../../src/image/model/step.ts';
import { plan } from '../../src/image/plan/plan.ts';
import { remembered } from '../../src/image/reconcile/follow.ts';
import { now, outline } from './states.ts';
import { anyWorld, desiredIn, stateIn } from './worlds.ts';

const projects = ['red', 'green', 'blue'];
const some = fc.subarray(projects);

const anySharing = fc.record({
  world: anyWorld.map((world) => ({ ...world, pin: 'none' as const })),
  active: fc.constantFrom(undefined, true, false),
  declared: fc.option(some, { nil: undefined }),
  /** Of each image. Absent: not read. */
  present: fc.array(fc.option(some, { nil: undefined, freq: 8 }), { minLength: 3, maxLength: 3 }),
  shared: fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }),
  known: some,
});
type Sharing = typeof anySharing extends fc.Arbitrary<infer T> ? T : never;

interface Story {
  desired: Desired;
  start: State;
  plan: Plan;
  moments: { before: State; step: PlanStep; after: State }[];
  end: State;
}

function storyOf({ world, active, declared, present, shared, known }: Sharing): Story {
  const base = desiredIn(world);
  const visibility = declared === undefined ? base.image.visibility : 'shared';
  const desired = { ...base, image: { ...base.image, visibility }, members: declared, active };
  const { observed, memory } = stateIn(world);
  const revisions = observed.revisions.map((one, index) => {
    if (shared[index] !== true) return one;
    const members = present[index]?.map((project) => ({ project, status: 'accepted' }));
    return { ...one, image: { ...one.image, visibility: 'shared' }, ...(members && { members }) };
  });
  const start: State = {
    observed: { ...observed, revisions },
    memory: known.length > 0 ? { ...memory, members: known } : memory,
  };
  const planned = plan(desired, start, now);
  let at = start;
  const moments = planned.steps.map((step) => {
    const before = at;
    at = simulate(at, step, now);
    return { before, step, after: at };
  });
  return { desired, start, plan: planned, moments, end: at };
}

function law(name: string, check: (story: Story) => void): void {
  test(name, () =>
    fc.assert(
      fc.property(anySharing, (sharing) => check(storyOf(sharing))),
      { numRuns: 1_500 },
    ),
  );
}

describe('plans for members and states', () => {
  law('a plan for members and states has nothing left to do after its steps', ({ desired, plan: { next }, end }) => {
    if (next.kind !== 'settled') return;
    const memory = remembered(end.memory, next, end.observed, desired, now);
    assert.deepEqual(outline(plan(desired, { ...end, memory }, now)), outline({ steps: [], next }));
  });

  law('only declared projects become members, and only others lose an image', ({ desired, moments }) => {
    for (const { before, step } of moments) {
      if (step.kind === 'addMember') {
        assert.ok(desired.members?.includes(step.project));
        assert.ok(before.memory.members?.includes(step.project), 'it is remembered first');
      }
      if (step.kind === 'removeMember') {
        assert.ok(!desired.members?.includes(step.project));
        assert.ok(desired.members !== undefined || before.memory.members?.includes(step.project));
      }
    }
  });

  law('a settled image has the declared members, and no image has another one', ({ desired, plan: { next }, end }) => {
    const { members } = desired;
    if (next.kind !== 'settled' || members === undefined) return;
    for (const { image, members: present = [] } of end.observed.revisions) {
      const found = present.map(({ project }) => project).sort();
      if (image.visibility !== 'shared') continue;
      if (image.id === next.image.id) assert.deepEqual(found, [...members].sort());
      assert.ok(found.every((project) => members.includes(project)));
    }
  });

  law('members are removed before anything is done that changes an image', ({ moments }) => {
    const steps = moments.map(({ step }) => step.kind);
    const last = steps.lastIndexOf('removeMember');
    assert.ok(
      steps.slice(0, Math.max(0, last)).every((kind) => kind === 'removeMember' || kind === 'record'),
      steps.join(),
    );
  });

  law(
    'an image is reactivated only if its data is verified, and only where that is declared',
    ({ desired, moments }) => {
      for (const { before, step } of moments) {
        if (step.kind !== 'reactivate') continue;
        assert.equal(desired.active, true);
        assert.deepEqual(stageOf(step.image, desired, before.memory, now), { kind: 'deactivated', isRight: true });
      }
    },
  );

  law('an image is deactivated only once it is verified and the image to use', ({ desired, moments }) => {
    for (const { before, step } of moments) {
      if (step.kind !== 'deactivate') continue;
      assert.equal(desired.active, false);
      assert.equal(before.memory.promoted, step.image.id);
      assert.ok(isUsable(step.image, desired, before.memory, now));
    }
  });

  law('a settled image has the declared state', ({ desired, plan: { next } }) => {
    if (next.kind !== 'settled' || desired.active === undefined) return;
    const { status } = next.image;
    assert.ok(desired.active ? status !== 'deactivated' : status !== 'active', status);
  });
});
