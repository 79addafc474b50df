/** Members and states of images: what is planned for them, which calls they cost, and how a cloud that forbids them is reported. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Conflict, ImageNotFound, NotAuthorized } from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import { contentProperty, imageIDOf, markOf } from '../../src/image/model/identity.ts';
import type { Member } from '../../src/image/model/revisions.ts';
import type { PlanStep, State } from '../../src/image/model/step.ts';
import { createMemberReadings, longestReadingMs } from '../../src/image/observe/member-readings.ts';
import { createVirtualClock } from '../clock.ts';
import { table } from './performing.ts';
import { content, identity, imageOf, uid } from './resource.ts';
import { desiredOf, found, knows, outline, planFor, promotes, stateOf, withContent } from './states.ts';
import { fail } from './stub-glance.ts';

const [red, green, blue] = ['red', 'green', 'blue'];
const fingerprint = desiredOf(withContent).fingerprint ?? assert.fail();
const marks = { ...markOf(identity), [contentProperty]: fingerprint };
const shared = (fields: Partial<Image> = {}) => imageOf({ visibility: 'shared', properties: marks, ...fields });
const second = imageIDOf(uid, 1);
const right = (imageID: string) => ({
  imageID,
  fingerprint,
  verdict: 'right' as const,
  hash: `sha512:${'e'.repeat(128)}`,
  size: 1024,
});
const declaring = (projects: readonly string[] | undefined, more: object = {}) => ({
  spec: {
    content,
    image: { diskFormat: 'raw', visibility: 'shared', ...(projects && { members: { projects } }), ...more },
  },
});
const member = (project: string | undefined, status = 'accepted'): Member => ({ project: project ?? '', status });

/** With the members of each image, as they were read. */
function withMembers(state: State, members: Readonly<Record<string, readonly Member[]>>): State {
  const revisions = state.observed.revisions.map((one) => ({ ...one, members: members[one.image.id] }));
  return { ...state, observed: { ...state.observed, revisions } };
}

const image = shared();
const { id } = image;
const memory = found(promotes(image), right(id));
const settled = { ...memory, members: [green, red] as string[] };

describe('the members of an image', () => {
  test('members are read only where some are, or were, declared', () => {
    assert.deepEqual(outline(planFor(declaring(undefined), stateOf([image], memory))), ['→ settled 0']);
    assert.deepEqual(outline(planFor(declaring([]), stateOf([image], memory))), ['→ readMembers 0']);
    assert.deepEqual(outline(planFor(declaring(undefined), stateOf([image], settled))), ['→ readMembers 0']);
  });

  test('the members of an image that is not shared are not read, because Glance has none', () => {
    const privately = imageOf({ properties: marks });
    assert.deepEqual(outline(planFor(withContent, stateOf([privately], settled))), ['→ settled 0']);
  });

  test('declared members are remembered, then added, and others are removed', () => {
    const state = withMembers(stateOf([image], memory), { [id]: [member(green), member(blue)] });
    const plan = planFor(declaring(['red', 'green']), state);
    assert.deepEqual(outline(plan), ['removeMember 0 blue', 'record 0', 'addMember 0 red', '→ settled 0']);
  });

  test('members that are as declared cost no step, whether they have accepted or not', () => {
    const state = withMembers(stateOf([image], settled), { [id]: [member(green), member(red, 'pending')] });
    assert.deepEqual(outline(planFor(declaring(['red', 'green']), state)), ['→ settled 0']);
  });

  test('without a declaration, members that were declared before are removed, and others are left alone', () => {
    const state = withMembers(stateOf([image], settled), { [id]: [member(red), member(blue)] });
    assert.deepEqual(outline(planFor(declaring(undefined), state)), ['removeMember 0 red', '→ settled 0']);
  });

  test('members lose the image before it stops being shared, because Glance would show them no more', () => {
    const state = withMembers(stateOf([image], settled), { [id]: [member(red)] });
    assert.deepEqual(outline(planFor(withContent, state)), [
      'removeMember 0 red',
      'patch 0 /visibility',
      '→ settled 0',
    ]);
  });

  test('an image that is not shared yet becomes so, and its members are read before the plan goes on', () => {
    const privately = imageOf({ properties: marks });
    const state = stateOf([privately], found(promotes(privately), right(id)));
    assert.deepEqual(outline(planFor(declaring(['red']), state)), ['patch 0 /visibility', '→ readMembers 0']);
  });

  test('a new image gets its members before it becomes the image to use', () => {
    const old = shared({ properties: { ...marks, [contentProperty]: 'v1;sha256:00;Served;Auto;raw;bare' } });
    const next = shared({ id: second, name: 'ubuntu (pending 12345678)', hidden: true });
    const known = {
      ...found(knows([old, next], { published: [old.id], promoted: old.id }), right(second)),
      members: ['red'],
    };
    const state = withMembers(stateOf([old, next], known), { [old.id]: [member(red)], [second]: [] });
    const lines = outline(planFor(declaring(['red']), state));
    const added = lines.indexOf('addMember 1 red');
    assert.ok(added >= 0 && added < lines.findIndex((line) => line.startsWith('patch 1')), lines.join());
    assert.ok(added < lines.indexOf('record 1'), lines.join());
  });

  test('a project that is no longer declared loses each image of the resource, before anything else is done', () => {
    const old = shared({ properties: { ...marks, [contentProperty]: 'v1;sha256:00;Served;Auto;raw;bare' } });
    const next = shared({ id: second, status: 'saving', size: null, checksum: null, hash: null });
    const known = { ...knows([old, next], { published: [old.id], promoted: old.id }), members: ['red'] };
    const state = withMembers(stateOf([old, next], known), { [old.id]: [member(red)], [second]: [] });
    assert.deepEqual(outline(planFor(declaring([]), state)), ['removeMember 0 red', '→ Waiting 1']);
  });

  test('a project that is no longer declared loses the image while nothing has the pinned digest', () => {
    const state = withMembers(stateOf([image], settled), { [id]: [member(red)] });
    const { spec } = declaring([]);
    const pinned = { spec: { ...spec, revisions: { pin: `sha256:${'9'.repeat(64)}` } } };
    assert.deepEqual(outline(planFor(pinned, state)), ['removeMember 0 red', '→ PinNotFound']);
  });

  test('a plan exchanges as many members as Glance allows', () => {
    const [before, after] = ['a', 'b'].map((letter) => Array.from({ length: 128 }, (_, at) => `${letter}${at}`));
    const state = withMembers(stateOf([image], memory), { [id]: (before ?? []).map((one) => member(one)) });
    assert.equal(planFor(declaring(after ?? []), state).steps.length, 257);
  });
});

describe('the state of an image', () => {
  const deactivated = shared({ status: 'deactivated' });

  test('an image that is to be deactivated is so after it is verified and recorded as the image to use', () => {
    const fresh = found(knows([image]), right(id));
    const plan = planFor(declaring(undefined, { state: 'Deactivated' }), stateOf([image], fresh));
    assert.deepEqual(outline(plan), ['record 0', 'deactivate 0', '→ settled 0']);
  });

  test('an image whose data is not verified yet is read back before it is deactivated', () => {
    const plan = planFor(declaring(undefined, { state: 'Deactivated' }), stateOf([image], promotes(image)));
    assert.deepEqual(outline(plan), ['→ verify 0']);
  });

  test('a deactivated image that is declared so is settled, and its record is kept as declared', () => {
    const declared = declaring(undefined, { state: 'Deactivated' });
    assert.deepEqual(outline(planFor(declared, stateOf([deactivated], memory))), ['→ settled 0']);
    const renamed = shared({ status: 'deactivated', name: 'other' });
    assert.deepEqual(outline(planFor(declared, stateOf([renamed], memory))), ['patch 0 /name', '→ settled 0']);
  });

  test('a deactivated image with verified data is reactivated where Active is declared', () => {
    const plan = planFor(declaring(undefined, { state: 'Active' }), stateOf([deactivated], memory));
    assert.deepEqual(outline(plan), ['reactivate 0', '→ settled 0']);
  });

  test('a deactivated image whose data was never verified is not reactivated', () => {
    for (const state of ['Active', 'Deactivated', undefined]) {
      const plan = planFor(declaring(undefined, { state }), stateOf([deactivated], promotes(deactivated)));
      assert.deepEqual(outline(plan), ['→ Deactivated']);
    }
  });

  test('an image that an administrator has deactivated is reported and never replaced where no state is declared', () => {
    const plan = planFor(declaring(undefined), stateOf([deactivated], memory));
    assert.deepEqual(outline(plan), ['→ Deactivated']);
    assert.match(plan.next.kind === 'blocked' ? plan.next.message : '', /spec\.image\.state/);
  });

  test('a record without data is left as it is, because Glance deactivates only data', () => {
    const queued = imageOf({ status: 'queued', size: null, checksum: null, hash: null });
    const declared = { spec: { image: { diskFormat: 'raw', state: 'Deactivated' } } };
    assert.deepEqual(outline(planFor(declared, stateOf([queued]))), ['→ settled 0']);
  });

  test('a deactivated image that is to be in other stores is reported, because Glance does not copy it', () => {
    const declared = declaring(undefined, { state: 'Deactivated', stores: ['fast', 'slow'] });
    const stored = shared({ status: 'deactivated', stores: ['fast'] });
    assert.deepEqual(outline(planFor(declared, stateOf([stored], memory))), ['→ InvalidSpec']);
  });

  test('another content makes another image, which is deactivated in the end, too', () => {
    const declared = declaring(undefined, { state: 'Deactivated' });
    const old = shared({
      status: 'deactivated',
      properties: { ...marks, [contentProperty]: 'v1;sha256:00;Served;Auto;raw;bare' },
    });
    const next = shared({ id: second, name: 'ubuntu (pending 12345678)', hidden: true });
    const known = found(knows([old, next], { published: [old.id], promoted: old.id }), right(second));
    const lines = outline(planFor(declared, stateOf([old, next], known)));
    assert.deepEqual(lines.slice(-2), ['deactivate 1', '→ settled 1']);
    assert.ok(lines.indexOf('record 1') < lines.indexOf('deactivate 1'), lines.join());
  });
});

describe('steps about who can use an image', () => {
  const denied = new NotAuthorized('403 Forbidden', { httpStatus: 403 });
  const state = withMembers(stateOf([image], settled), { [id]: [] });
  const add: PlanStep = { kind: 'addMember', image, project: 'red' };
  const adding = { held: [image], state, calls: ['addMember 0 red'] };
  const added = {
    kind: 'done' as const,
    revisions: [{ members: [{ project: 'red', status: 'pending' }] }],
    changes: [{ kind: 'updated', what: ['member red added'] }],
  };
  table(add, [
    { ...adding, what: 'the member is known afterwards', ...added },
    {
      ...adding,
      what: 'one that is a member already is done, as after a lost response',
      faults: { addMember: fail(new Conflict('409', { httpStatus: 409 })) },
      ...added,
    },
    {
      ...adding,
      what: 'a cloud that forbids it is reported by a code of its own',
      faults: { addMember: fail(denied) },
      kind: 'failed',
      code: 'MembersForbidden',
    },
  ]);
  table({ kind: 'removeMember', image, project: 'red' }, [
    {
      held: [image],
      state: withMembers(state, { [id]: [member(red), member(blue)] }),
      what: 'a member that is gone already is done',
      calls: ['removeMember 0 red'],
      faults: { removeMember: fail(new ImageNotFound('404', { httpStatus: 404 })) },
      kind: 'done',
      revisions: [{ members: [member(blue)] }],
      changes: [{ kind: 'updated', what: ['member red removed'] }],
    },
  ]);
  table({ kind: 'deactivate', image }, [
    {
      held: [image],
      state,
      what: 'the state is known afterwards',
      calls: ['deactivate 0'],
      kind: 'done',
      revisions: [{ image: { status: 'deactivated' } }],
      changes: [{ kind: 'updated', what: ['state (deactivated)'] }],
    },
    {
      held: [image],
      state,
      what: 'a cloud that forbids it is reported by a code of its own',
      calls: ['deactivate 0'],
      faults: { deactivate: fail(denied) },
      kind: 'failed',
      code: 'StateForbidden',
    },
  ]);
});

describe('how often members are read', () => {
  test('members that stay as they are are read less and less often, and at least once an hour', async () => {
    const clock = createVirtualClock();
    const readings = createMemberReadings(clock);
    const interval = 600_000;
    let calls = 0;
    const gaps: number[] = [];
    let last = clock.monotonic();
    for (let checks = 0; checks < 60; checks++) {
      if (readings.recent(id) === undefined) {
        readings.read(id, [member(red)]);
        calls++;
        gaps.push(clock.monotonic() - last);
        last = clock.monotonic();
      }
      await clock.advance(interval);
    }
    assert.deepEqual(gaps.slice(0, 4), [0, interval, interval, 2 * interval]);
    assert.ok(gaps.every((gap) => gap <= longestReadingMs));
    assert.ok(calls <= 14, String(calls));
  });

  test('members that have changed, or that the operator changes, are read at the next check', async () => {
    const clock = createVirtualClock();
    const readings = createMemberReadings(clock);
    readings.read(id, [member(red, 'pending')]);
    await clock.advance(longestReadingMs / 2);
    readings.read(id, [member(red, 'pending')]);
    await clock.advance(longestReadingMs / 4);
    assert.notEqual(readings.recent(id), undefined);
    readings.read(id, [member(red, 'accepted')]);
    assert.equal(readings.recent(id), undefined);
    readings.read(id, [member(red, 'accepted')]);
    readings.forget(id);
    assert.equal(readings.recent(id), undefined);
  });
});
