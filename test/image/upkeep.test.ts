/** The steps that keep the image to use as declared while that of a publisher's newer file is made, each alone. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { finalizer, reconcileAtAnnotation } from '../../src/api/group.ts';
import { GlanceConnectionFailed, ImageNotAuthorized } from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import type { Desired } from '../../src/image/model/desired.ts';
import { imageIDOf } from '../../src/image/model/identity.ts';
import { asOperation, type Memory } from '../../src/image/model/memory.ts';
import type { State } from '../../src/image/model/step.ts';
import type { PerformContext } from '../../src/image/perform/perform.ts';
import { pin } from '../../src/image/publishers/resolution.ts';
import type { Comparison } from '../../src/image/reconcile/drift.ts';
import { isKeepingUpDue, keepUp, keepUpFirst, keepUpMeanwhile } from '../../src/image/reconcile/keep-up.ts';
import { begin } from '../../src/image/reconcile/pass.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { type ContextOptions, contextOf, key } from './contexts.ts';
import {
  daily,
  fingerprintFor,
  followingOf,
  http,
  madeFor,
  one,
  pendingNameOf,
  resolved,
  statusWith,
  two,
} from './pinning.ts';
import { imageOf, resourceOf, uid } from './resource.ts';
import { before, desiredOf, found, now, promotes, stateOf, withContent } from './states.ts';
import { type Faults, fail, performOn, stubGlance } from './stub-glance.ts';

const image = imageOf();
const other = imageOf({ id: imageIDOf(uid, 1), name: 'ubuntu (pending 00000000)', hidden: true });
const held = [image, other];
const withTags = desiredOf({ spec: { image: { tags: ['x'] } } });
const memory = { ...promotes(image), images: [image.id, other.id], next: 2 };

interface Row {
  what: string;
  desired: Desired | undefined;
  state?: State;
  context?: Partial<PerformContext>;
  calls: readonly string[];
  kind: 'done' | 'failed' | 'gone';
  upkeep?: 'asDeclared' | 'differs' | 'notCompared';
}

const rows: readonly Row[] = [
  { what: 'nothing is done where no other image is made', desired: undefined, calls: [], kind: 'done' },
  { what: 'an image as declared costs no call', desired: desiredOf({}), calls: [], kind: 'done', upkeep: 'asDeclared' },
  {
    what: 'the record of the image to use is changed, and no other one',
    desired: withTags,
    calls: ['patch 0 /tags'],
    kind: 'done',
    upkeep: 'asDeclared',
  },
  {
    what: 'an image that is gone is not made again',
    desired: withTags,
    state: stateOf([other], memory),
    calls: [],
    kind: 'done',
    upkeep: 'differs',
  },
  {
    what: 'an image that has the mark of another resource is left as it is',
    desired: withTags,
    state: stateOf([imageOf({ properties: { glance_image_operator_owner: 'other/other/0' } }), other], memory),
    calls: [],
    kind: 'done',
    upkeep: 'differs',
  },
  {
    what: 'an image that an administrator has deactivated stays so',
    desired: desiredOf(withContent),
    state: stateOf([imageOf({ status: 'deactivated' }), other], memory),
    calls: [],
    kind: 'done',
    upkeep: 'differs',
  },
  {
    what: 'an image does not get the name that another one still has',
    desired: withTags,
    state: stateOf([image, { ...other, name: 'ubuntu' }], memory),
    calls: [],
    kind: 'done',
    upkeep: 'notCompared',
  },
  {
    what: 'nothing is changed once the resource is gone',
    desired: withTags,
    context: { confirm: async () => 'gone' as const },
    calls: [],
    kind: 'gone',
  },
];

for (const { what, desired, state = stateOf(held, memory), context, calls, kind, upkeep } of rows) {
  test(`the image to use next to one that is made: ${what}`, async () => {
    const glance = stubGlance(held);
    const kept = await keepUp(desired, state, performOn(glance, context));
    assert.deepEqual([kept.kind, glance.calls], [kind, calls]);
    if (kept.kind !== 'done') return;
    assert.equal(kept.upkeep?.kind, upkeep);
    assert.equal(kept.state.observed.revisions.length, state.observed.revisions.length);
  });
}

/** Of which the publisher has `one`, and has `two` now. */
const current = madeFor(one, 0);
const pending = madeFor(two, 1, { hidden: true, name: pendingNameOf(1), status: 'saving', size: null, hash: null });
const finding = { imageID: current.id, fingerprint: fingerprintFor(one), verdict: 'right' as const, size: 1024 };
const following = found(
  { ...promotes(current), images: [current.id, pending.id], next: 2 },
  { ...finding, hash: `sha512:${'e'.repeat(128)}` },
);
const notDue: Comparison = { kind: 'notDue', ms: 60_000 };
const rejected = { patch: fail(new ImageNotAuthorized('no', { httpStatus: 403 })) };
const down = new GlanceConnectionFailed('no response', 'GlanceUnreachable', {});
const updating = {
  type: 'Updating',
  status: 'True',
  reason: 'Transferring',
  message: '',
  lastTransitionTime: before(1),
  observedGeneration: 1,
};

interface Start extends ContextOptions {
  image?: Record<string, unknown>;
  spec?: Record<string, unknown>;
  status?: Record<string, unknown>;
  metadata?: Record<string, unknown>;
  memory?: Memory;
  /** What the publisher has. */
  reads?: string;
}

/** The beginning of a reconcile while the image of `two` is made. */
function begun({ image: declared, spec, status, metadata, memory: known = following, reads = two, ...options }: Start) {
  const resource = resourceOf({
    spec: { image: { diskFormat: 'qcow2', ...declared }, content: { http, update: daily }, ...spec },
    status: { ...statusWith(one), secretVersion: '7', operation: asOperation(known), ...status },
    metadata: { finalizers: [finalizer], ...metadata },
  });
  const compared: string[] = [];
  const { context } = contextOf({ comparison: notDue, secretVersions: '7', ...options });
  const drift = { ...context.drift, compared: (of: string) => compared.push(of) };
  const pinning = pin(key, resource, followingOf(resolved(reads)).following, now);
  return { pass: begin(key, pinning, { kind: 'live' }, context), context: { ...context, drift }, compared };
}

describe('whether the image to use is looked at while another one is filled', () => {
  const failing = { conditions: [updating], nextAttemptTime: '2026-01-02T00:01:00Z' };
  const rows: readonly { what: string; start: Start; isDue: boolean }[] = [
    { what: 'when nothing has changed', start: {}, isDue: false },
    { what: 'after an edit', start: { metadata: { generation: 2 } }, isDue: true },
    { what: 'when its drift check is due', start: { comparison: { kind: 'live' } }, isDue: true },
    {
      what: 'when it is requested',
      start: { metadata: { annotations: { [reconcileAtAnnotation]: 'now' } } },
      isDue: true,
    },
    { what: 'when no newer file is made', start: { reads: one, metadata: { generation: 2 } }, isDue: false },
    {
      what: 'when there is no image to use',
      start: { memory: { ...following, promoted: undefined }, metadata: { generation: 2 } },
      isDue: false,
    },
    {
      what: 'when other images have to be searched',
      start: { memory: { ...following, incomplete: true }, metadata: { generation: 2 } },
      isDue: false,
    },
    {
      what: 'before the next attempt after a failure',
      start: { status: failing, comparison: { kind: 'live' } },
      isDue: false,
    },
    {
      what: 'at the next attempt after a failure',
      start: { status: { ...failing, nextAttemptTime: before(1) } },
      isDue: true,
    },
    { what: 'after a failure, with another Secret', start: { status: failing, secretVersions: '8' }, isDue: true },
    { what: 'after a failure, and an edit', start: { status: failing, metadata: { generation: 2 } }, isDue: true },
  ];
  for (const { what, start, isDue } of rows) {
    test(`the image to use is ${isDue ? '' : 'not '}looked at while another one is filled ${what}`, () => {
      const { pass, context } = begun(start);
      assert.equal(isKeepingUpDue(pass, context), isDue);
    });
  }
});

describe('the image to use while another one is filled', () => {
  const reads = ['get 0', 'get 1'];
  const rows: readonly {
    what: string;
    start?: Start;
    held?: readonly Image[];
    faults?: Faults;
    calls?: readonly string[];
    /** The kind, and what is known of the image to use. */
    ends: string;
    /** The next drift check is an interval later. */
    isCompared?: boolean;
    changes?: readonly string[];
  }[] = [
    { what: 'is compared', ends: 'done asDeclared', isCompared: true },
    {
      what: 'is changed as declared',
      start: { image: { tags: ['x'] } },
      calls: [...reads, 'patch 0 /tags'],
      ends: 'done asDeclared',
      isCompared: true,
      changes: ['updated'],
    },
    {
      what: 'has a failure if Glance rejects its change',
      start: { image: { tags: ['x'] } },
      faults: rejected,
      calls: [...reads, 'patch 0 /tags'],
      ends: 'done failed Forbidden',
    },
    {
      what: 'has a failure without a call if the declaration cannot be applied',
      start: { image: { properties: { os_glance_x: 'x' } } },
      calls: [],
      ends: 'done failed InvalidSpec',
    },
    {
      what: 'has a failure if there is no Secret',
      start: { secret: new OperatorError('there is no Secret', { code: 'SecretNotFound' }) },
      calls: [],
      ends: 'done failed SecretNotFound',
    },
    {
      what: 'has a failure if Glance does not respond',
      faults: { get: fail(down) },
      calls: ['get 0'],
      ends: 'done failed GlanceUnreachable',
    },
    {
      what: 'is looked at again in the flow of a cloud that was not known',
      start: { secret: { version: '7', open: async () => undefined } },
      calls: [],
      ends: 'outdated',
    },
    {
      what: 'is not as declared if it is gone',
      held: [pending],
      calls: [...reads, 'list', 'list hidden'],
      ends: 'done differs',
      isCompared: true,
      changes: ['vanished'],
    },
    {
      what: 'is not changed for a resource that is gone',
      start: { image: { tags: ['x'] }, guarded: false, metadata: { finalizers: [] } },
      ends: 'gone',
    },
    {
      what: 'has no drift check at an interval of 0',
      start: { spec: { interval: '0' } },
      ends: 'done asDeclared',
    },
  ];
  for (const { what, start, held: there = [current, pending], faults, calls = reads, ends, ...row } of rows) {
    test(`the image to use, while another one is filled, ${what}`, async () => {
      const glance = stubGlance(there, faults);
      const { pass, context, compared } = begun({ ...start, glance });
      const kept = await keepUpMeanwhile(pass, context);
      const { upkeep, changes } = kept.kind === 'done' ? kept.learned : {};
      const code = upkeep?.kind === 'failed' ? upkeep.error.code : undefined;
      assert.equal([kept.kind, upkeep?.kind, code].filter((part) => part !== undefined).join(' '), ends);
      assert.deepEqual([glance.calls, compared.length], [calls, row.isCompared === true ? 1 : 0]);
      assert.deepEqual(changes?.map(({ kind }) => kind) ?? [], row.changes ?? []);
    });
  }

  test('the image to use, while another one is filled, is looked at again once it is known whether that exists', async () => {
    const { pass, context } = begun({ glance: stubGlance([current]) });
    const cloud = await context.clouds.read(
      { namespace: 'demo', secretRef: { name: 'openstack' }, name: 'demo' },
      context.signal,
    );
    const opened = (await cloud.open(context.signal)) ?? assert.fail();
    const doubting = { ...opened, recent: { ...opened.recent, doubtMs: () => 5_000 } };
    const clouds = { ...context.clouds, read: async () => ({ version: '7', open: async () => doubting }) };
    assert.deepEqual(await keepUpMeanwhile(pass, { ...context, clouds }), { kind: 'inDoubt', ms: 5_000 });
  });
});

describe('the image to use before another one is worked on', () => {
  const rows: readonly { what: string; start?: Start; state?: State; ends: string; isCompared: boolean }[] = [
    { what: 'is compared, which counts as a drift check', ends: 'done asDeclared', isCompared: true },
    {
      what: 'is nothing of its own where no newer file is made',
      start: { reads: one },
      ends: 'done',
      isCompared: false,
    },
    {
      what: 'is not compared while the other one has its name',
      state: stateOf([current, { ...pending, name: 'ubuntu' }], following),
      ends: 'done notCompared',
      isCompared: false,
    },
    {
      what: 'that is gone counts as compared',
      state: stateOf([pending], following),
      ends: 'done differs',
      isCompared: true,
    },
    {
      what: 'that cannot be changed does not count as compared',
      start: { image: { tags: ['x'] } },
      ends: 'failed',
      isCompared: false,
    },
    {
      what: 'has no drift check at an interval of 0',
      start: { spec: { interval: '0' } },
      ends: 'done asDeclared',
      isCompared: false,
    },
  ];
  for (const { what, start = {}, state = stateOf([current, pending], following), ends, isCompared } of rows) {
    test(`the image to use, before another one is worked on, ${what}`, async () => {
      const glance = stubGlance([current, pending], rejected);
      const { pass, context, compared } = begun({ ...start, glance });
      const kept = await keepUpFirst(pass, state, performOn(glance), { projectID: current.owner ?? '' }, context);
      const upkeep = kept.kind === 'done' ? kept.upkeep?.kind : undefined;
      assert.equal([kept.kind, upkeep].filter((part) => part !== undefined).join(' '), ends);
      assert.equal(compared.length, isCompared ? 1 : 0);
    });
  }
});
