/** Laws of plans, for each combination of what Glance can hold of an image and what the operator remembers of it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Image } from '../../src/glance/image.ts';
import type { Desired } from '../../src/image/model/desired.ts';
import { findingOf, isRetired, type Memory, verifiedAs } from '../../src/image/model/memory.ts';
import { ownershipOf } from '../../src/image/model/ownership.ts';
import { simulate } from '../../src/image/model/simulate.ts';
import type { Plan, PlanStep, State } from '../../src/image/model/step.ts';
import { hashOf } from '../../src/image/model/verify.ts';
import { claimOf } from '../../src/image/observe/observe.ts';
import { obeyPin } from '../../src/image/plan/pin.ts';
import { plan } from '../../src/image/plan/plan.ts';
import { remembered } from '../../src/image/reconcile/follow.ts';
import { now, outline, owner } from './states.ts';
import { anyWorld, desiredIn, everyWorld, stateIn, type World } from './worlds.ts';

interface Moment {
  before: State;
  step: PlanStep;
  after: State;
}

interface Story {
  world: World;
  desired: Desired;
  plan: Plan;
  moments: Moment[];
  start: State;
  end: State;
}

function frozen<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) frozen(part);
  }
  return value;
}

function storyOf(world: World): Story {
  const start = frozen(stateIn(world));
  const desired = frozen(obeyPin(desiredIn(world), start, now));
  const planned = frozen(plan(desired, start, now));
  let at = start;
  const moments = planned.steps.map((step) => {
    const before = at;
    at = frozen(simulate(at, step, now));
    return { before, step, after: at };
  });
  return { world, desired, plan: planned, moments, start, end: at };
}

const everything = everyWorld(20260102).map(({ combination, world }) => ({ combination, story: storyOf(world) }));

/** Holds for each combination, and for any world. */
function law(name: string, check: (story: Story) => void): void {
  test(name, () => {
    for (const { story, combination } of everything) {
      try {
        check(story);
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        const lines = [combination, JSON.stringify(story.world), outline(story.plan).join(', '), message];
        assert.fail(lines.join('\n'));
      }
    }
    fc.assert(
      fc.property(anyWorld, (world) => check(storyOf(world))),
      { numRuns: 300 },
    );
  });
}

const still: readonly string[] = ['queued', 'active', 'deactivated', 'killed'];

function isMoving({ status, isLocked }: World['images'][number]): boolean {
  return isLocked || !still.includes(status);
}

const imageIn = ({ observed }: State, id: string | undefined): Image | undefined =>
  observed.revisions.find(({ image }) => image.id === id)?.image;

/** What is known of the data, without the code under test. */
function isVerified({ content, binding }: Desired, image: Image, memory: Memory): boolean {
  if (content === undefined) return true;
  const hash = hashOf(image);
  const found = findingOf(memory, image.id, binding);
  if (found !== undefined) return found.verdict === 'right' && isSame(found.hash, hash);
  return content.method !== 'WebDownload' && content.digest !== undefined && content.digest === hash;
}

/** For this or an earlier declaration. */
function hasBeenVerified(image: Image, memory: Memory): boolean {
  const found = verifiedAs(memory, image.id);
  return found !== undefined && isSame(found.hash, hashOf(image));
}

/** Hashes of different algorithms cannot be compared. */
function isSame(one: string | undefined, other: string | undefined): boolean {
  return one === other || one?.split(':')[0] !== other?.split(':')[0];
}

/** It has data, and nothing shows that it is not what was verified once. */
function isKeepable(image: Image, memory: Memory): boolean {
  const isStored = image.status === 'active' || image.status === 'deactivated';
  const isUnused = memory.retired?.some((one) => one.imageID === image.id && one.isUnused === true) ?? false;
  if (isUnused) return false;
  return isStored && (memory.findings.every(({ imageID }) => imageID !== image.id) || hasBeenVerified(image, memory));
}

const keepForMs = { '0s': 0, '1h': 3_600_000, '1000h': 3_600_000_000 };

describe('plans', () => {
  test('every combination of status, mark, hidden, protected, import lock, content, finding and role is planned once', () => {
    assert.equal(everything.length, 8 * 4 * 2 * 2 * 2 * 2 * 7 * 5);
    assert.equal(new Set(everything.map(({ combination }) => combination)).size, everything.length);
    const reached = new Map<string, number>();
    for (const { story } of everything) {
      for (const line of outline(story.plan)) {
        const kind = line.replace(/ .*/, '').replace('→', line);
        reached.set(kind.replace(/ \d+/, ''), (reached.get(kind.replace(/ \d+/, '')) ?? 0) + 1);
      }
      reached.set(`${story.world.images.length} images`, 1);
    }
    const kinds = ['create', 'patch', 'import', 'remove', 'delete', 'record', '1 images', '2 images', '3 images'];
    const ends = ['settled', 'Importing', 'Waiting', 'fill', 'verify', 'inspect', 'importFailed'];
    const codes = [
      'TakenOver',
      'MarkContested',
      'Deactivated',
      'NotVerifiable',
      'InvalidSpec',
      'UnsafeImage',
      'PinNotFound',
    ];
    for (const kind of [...kinds, ...[...ends, ...codes, 'UploadMismatch'].map((end) => `→ ${end}`)])
      assert.ok(reached.has(kind), `${kind} is never reached`);
  });

  law('a plan is the same each time, and changes nothing that it was given', ({ desired, start, plan: first }) => {
    assert.deepEqual(plan(desired, start, now), first);
  });

  law('after the steps of a plan no step is left, and the same follows', ({ desired, plan: { next, steps }, end }) => {
    if (next.kind === 'blocked' && steps.at(-1)?.kind === 'delete') return;
    assert.deepEqual(plan(desired, end, now), { steps: [], next });
  });

  law(
    'the next reconcile has nothing else to do, except where a failure is reported first',
    ({ world, desired, plan: { next, steps }, end }) => {
      // The memory has room for one import, and for one upload that is waited for.
      if (world.images.filter(isMoving).length > 1) return;
      if (next.kind === 'inspect' || next.kind === 'importFailed') return;
      if (next.kind === 'blocked' && steps.at(-1)?.kind === 'delete') return;
      const memory = remembered(end.memory, next, end.observed, desired, now);
      assert.deepEqual(outline(plan(desired, { observed: end.observed, memory }, now)), outline({ steps: [], next }));
    },
  );

  law('no step touches an image that is foreign', ({ moments }) => {
    for (const { before, step } of moments) {
      if (!('image' in step) || step.kind === 'create') continue;
      const image = imageIn(before, step.image.id) ?? assert.fail('a step names an image that is not there');
      assert.deepEqual(step.image, image, 'a step has an image as it is');
      assert.equal(ownershipOf(image, claimOf(owner, before.memory)).kind, 'created');
    }
  });

  law('an image that consumers may know is deleted only after another one is promoted', ({ moments }) => {
    for (const { before, step } of moments) {
      if (step.kind !== 'delete') continue;
      const { promoted, published } = before.memory;
      assert.notEqual(step.image.id, promoted);
      if (published.includes(step.image.id)) assert.ok(promoted !== undefined, 'another one is promoted');
    }
  });

  law(
    'an image that lists show with data, right or wrong, is deleted only after another one is promoted',
    ({ moments }) => {
      for (const { before, step } of moments) {
        if (step.kind !== 'delete' || step.image.hidden || step.image.status !== 'active') continue;
        assert.ok(before.memory.promoted !== undefined, 'another one is promoted');
      }
    },
  );

  law('at most one image bears the declared name at any time', ({ moments, desired }) => {
    for (const { after } of moments) {
      const named = after.observed.revisions.filter(({ image }) => image.name === desired.image.name);
      assert.ok(named.length <= 1);
    }
  });

  law('an image with data becomes visible only if its data is verified', ({ moments, desired }) => {
    for (const { before, step, after } of moments) {
      if (step.kind !== 'patch' || !step.operations.some(({ path }) => path === '/os_hidden')) continue;
      const image = imageIn(after, step.image.id) ?? assert.fail();
      if (image.hidden) continue;
      // An empty image of a new resource is visible, but one that Glance fills by itself.
      if (image.status === 'queued') assert.notEqual(desired.content?.method, 'WebDownload');
      else {
        const wasVerified = isRetired(before.memory, image.id) && hasBeenVerified(image, before.memory);
        assert.ok(wasVerified || isVerified(desired, image, before.memory));
      }
    }
  });

  law('an image becomes the one to use only if it is active and verified, or a record without content', (story) => {
    const { moments, desired } = story;
    for (const { before, step, after } of moments) {
      if (step.kind !== 'record' || step.memory.promoted === before.memory.promoted) continue;
      const image = imageIn(after, step.memory.promoted) ?? assert.fail();
      assert.ok(isVerified(desired, image, step.memory));
      if (desired.content !== undefined) assert.equal(image.status, 'active');
    }
  });

  law('the image to use stays one that was verified, for this declaration or for an earlier one', (story) => {
    const { start, end, plan, desired } = story;
    const { promoted } = remembered(end.memory, plan.next, end.observed, desired, now);
    const before = imageIn(start, start.memory.promoted);
    const found = before && verifiedAs(start.memory, before.id);
    if (promoted === undefined) {
      // It is forgotten only if its data is not what was verified before.
      assert.ok(before?.status !== 'active' || found?.verdict !== 'right' || found.hash !== hashOf(before));
      return;
    }
    const image = imageIn(end, promoted) ?? assert.fail('the image to use is there');
    if (desired.content === undefined) return;
    assert.ok(image.status === 'active' || image.status === 'deactivated', image.status);
    const wasVerified = hasBeenVerified(image, end.memory);
    assert.ok(isVerified(desired, image, end.memory) || wasVerified);
  });

  law(
    'a settled image is active and verified, or a record without declared content',
    ({ plan: { next }, desired, end }) => {
      if (next.kind !== 'settled') return;
      const { memory, observed } = end;
      const after = remembered(memory, next, observed, desired, now);
      assert.equal(after.promoted, next.image.id);
      assert.ok(isVerified(desired, next.image, memory));
      if (desired.content !== undefined) assert.equal(next.image.status, 'active');
      assert.deepEqual([next.image.name, next.image.hidden], [desired.image.name, desired.image.hidden]);
    },
  );

  law('where lists show a verified image, one stays visible', ({ moments, desired }) => {
    if (desired.image.hidden || desired.content === undefined) return;
    const shown = ({ observed, memory }: State) =>
      observed.revisions.filter(({ image }) => {
        const isKnown = hasBeenVerified(image, memory) || isVerified(desired, image, memory);
        return !image.hidden && image.status === 'active' && isKnown;
      });
    for (const { before, after } of moments) {
      if (shown(before).length > 0) assert.ok(shown(after).length > 0);
    }
  });

  law('an image that consumers may know is deleted only if no server uses it', ({ moments }) => {
    for (const { before, step } of moments) {
      if (step.kind !== 'delete' || !before.memory.published.includes(step.image.id)) continue;
      assert.equal(step.unlessInUse, true);
    }
  });

  law('a replaced image stays for as long as it is declared to be kept', ({ moments, world }) => {
    for (const { before, step, after } of moments) {
      if (step.kind !== 'delete' || !before.memory.published.includes(step.image.id)) continue;
      if (!isKeepable(step.image, before.memory)) continue;
      const at = before.memory.retired?.find(({ imageID }) => imageID === step.image.id)?.at ?? assert.fail();
      assert.ok(now.getTime() - Date.parse(at) >= keepForMs[world.keepFor], 'for its time');
      const left = after.observed.revisions.filter(
        ({ image }) =>
          image.id !== after.memory.promoted &&
          after.memory.published.includes(image.id) &&
          isKeepable(image, after.memory),
      );
      assert.ok(left.length >= world.keep, 'by their number');
    }
  });

  law('next to a settled image there are only such that are kept or in use, and that give way to it', (story) => {
    const {
      plan: { next },
      end,
      desired,
      world,
    } = story;
    if (next.kind !== 'settled') return;
    const { promoted } = remembered(end.memory, next, end.observed, desired, now);
    const others = end.observed.revisions.filter(({ image }) => image.id !== promoted);
    const kept = others.filter(({ image }) => end.memory.inUse?.every(({ imageID }) => imageID !== image.id) ?? true);
    for (const { image } of kept) assert.ok(isKeepable(image, end.memory));
    const ages = kept.map(({ image }) => {
      const at = end.memory.retired?.find(({ imageID }) => imageID === image.id)?.at ?? assert.fail('it is retired');
      return now.getTime() - Date.parse(at);
    });
    assert.ok(ages.filter((age) => age >= keepForMs[world.keepFor]).length <= world.keep);
    for (const { image } of others) {
      assert.notEqual(image.name, desired.image.name);
      const isDated = image.name === 'ubuntu (2026-01-01)';
      assert.ok(world.retired === 'by number' ? /^old [0-9]$/.test(image.name ?? '') : isDated, image.name ?? '');
      assert.equal(image.hidden, world.retired !== 'visible' || !hasBeenVerified(image, end.memory));
      assert.deepEqual(image.tags, []);
    }
  });

  law('while a pin names other data than the content, nothing is created or filled', (story) => {
    const {
      plan: { next, steps },
      end,
    } = story;
    const { content, pin } = desiredIn(story.world);
    if (pin === undefined || content === undefined || pin === content.digest) return;
    for (const { kind } of steps) assert.ok(kind !== 'create');
    assert.ok(next.kind !== 'transfer' || next.purpose === 'verify');
    if (next.kind !== 'settled') return;
    const { image } = next;
    const digest = verifiedAs(end.memory, image.id)?.fingerprint.split(';')[1];
    assert.ok(hashOf(image) === pin || digest === pin, 'the image to use has the pinned digest');
  });

  law('nothing of an image changes while its data moves', ({ moments }) => {
    for (const { before, step } of moments) {
      if (step.kind !== 'patch' && step.kind !== 'import') continue;
      const status = imageIn(before, step.image.id)?.status ?? '';
      assert.ok(!['saving', 'uploading', 'importing'].includes(status), status);
    }
  });

  law('an ID is used once', ({ moments }) => {
    for (const { before, step, after } of moments) {
      if (step.kind !== 'create') continue;
      assert.equal(step.number, before.memory.next);
      assert.ok(after.memory.next > step.number && after.memory.images.includes(step.imageID));
      assert.equal(imageIn(before, step.imageID), undefined);
    }
  });
});
