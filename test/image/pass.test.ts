/** The first steps of a reconcile: whether it is due, what it begins with, which cloud it opens, and what it knows without a call. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { finalizer, identityAnnotation } from '../../src/api/group.ts';
import type { Image } from '../../src/glance/image.ts';
import { contentOf } from '../../src/image/model/content.ts';
import { contentProperty, imageIDOf, markOf, originalIdentity } from '../../src/image/model/identity.ts';
import { asOperation, type Memory } from '../../src/image/model/memory.ts';
import { fillPlan } from '../../src/image/model/transfer.ts';
import { declaredBy } from '../../src/image/publishers/resolution.ts';
import { glimpse } from '../../src/image/reconcile/glimpse.ts';
import { openCloud } from '../../src/image/reconcile/open.ts';
import { begin, isWorkedOn, turnOf } from '../../src/image/reconcile/pass.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { defaultLimits } from '../../src/transfer/plan.ts';
import type { TransferState } from '../../src/transfer/scheduler.ts';
import { resultOf } from '../transfer/plans.ts';
import { cloudOf, contextOf, key, passOf, place } from './contexts.ts';
import { identity, imageOf, type ResourceOptions, resourceOf, uid } from './resource.ts';
import { before, desiredOf, knows, memoryOf, promotes, withContent } from './states.ts';
import { performOn, stubGlance } from './stub-glance.ts';

const image = imageOf();
const deletionTimestamp = '2026-01-01T00:00:00Z';
const terms = { address: 'https://glance.example.com', limits: defaultLimits };
const planOf = (imageID: string) => {
  const resource = resourceOf(withContent);
  return fillPlan(resource, imageID, contentOf(resource) ?? assert.fail(), terms);
};
const running: TransferState = { kind: 'queued', plan: planOf(image.id), position: 1, queuedAt: before(0) };
const ready = {
  observedGeneration: 1,
  secretVersion: '7',
  conditions: [
    {
      type: 'Ready',
      status: 'True',
      reason: 'Ready',
      message: '',
      lastTransitionTime: before(1),
      observedGeneration: 1,
    },
  ],
};

describe('whether it is the turn of a resource', () => {
  const spec = { suspend: true };
  const failed = { ...ready, conditions: undefined, nextAttemptTime: '2026-01-02T00:01:00Z' };
  const rows: [what: string, resource: ResourceOptions, options: Parameters<typeof contextOf>[0], turn: object][] = [
    ['a new resource is', {}, {}, { kind: 'live' }],
    [
      'a settled one is when its drift check says so',
      { status: ready },
      { comparison: { kind: 'notDue', ms: 9 } },
      { kind: 'notDue', ms: 9 },
    ],
    [
      'a settled one may be compared with a list',
      { status: ready },
      { comparison: { kind: 'fromCache', sinceMs: 3 } },
      { kind: 'fromCache', sinceMs: 3 },
    ],
    [
      'one with a transfer always is',
      { status: ready },
      { transfer: running, comparison: { kind: 'notDue', ms: 9 } },
      { kind: 'live' },
    ],
    ['a suspended one is', { spec, status: ready }, { comparison: { kind: 'notDue', ms: 9 } }, { kind: 'live' }],
    ['one that failed waits for its next attempt', { status: failed }, {}, { kind: 'notDue', ms: 60_000 }],
    ['one with another Secret is', { status: failed }, { secretVersions: '8' }, { kind: 'live' }],
    [
      'one with another spec is',
      { status: { ...ready, observedGeneration: 0 } },
      { comparison: { kind: 'notDue', ms: 9 } },
      { kind: 'live' },
    ],
  ];
  for (const [what, resource, options, turn] of rows) {
    test(`${what}: ${JSON.stringify(turn)}`, () => {
      assert.deepEqual(turnOf(key, declaredBy(resourceOf(resource)), contextOf(options).context), turn);
    });
  }
});

describe('the beginning of a reconcile', () => {
  const memory = promotes(image);
  const operation = asOperation(memory);
  const finalizers = [finalizer];
  interface Row {
    what: string;
    resource: ResourceOptions;
    transfer?: TransferState;
    pass: object;
    isWorkedOn: boolean;
  }
  const rows: Row[] = [
    {
      what: 'a new resource has an empty memory, and no image to search for',
      resource: {},
      pass: { memory: memoryOf(), isLost: true, news: { kind: 'none' }, newerVersion: undefined, identity },
      isWorkedOn: false,
    },
    {
      what: 'a memory is read back',
      resource: { status: { operation } },
      pass: { memory, isLost: false },
      isWorkedOn: false,
    },
    {
      what: 'a resource with a finalizer and without a memory was worked on',
      resource: { metadata: { finalizers } },
      pass: { memory: memoryOf(), isLost: true },
      isWorkedOn: true,
    },
    {
      what: 'a memory of another uid is not believed',
      resource: { status: { operation: { ...operation, uid: 'x' } }, metadata: { finalizers } },
      pass: { memory: memoryOf(), isLost: true },
      isWorkedOn: true,
    },
    {
      what: 'a memory of a later version is not interpreted',
      resource: { status: { operation: { ...operation, version: 2 } } },
      pass: { newerVersion: 2, isLost: false },
      isWorkedOn: false,
    },
    {
      what: 'an object that was moved here was worked on',
      resource: { metadata: { annotations: { [identityAnnotation]: 'f'.repeat(32) } } },
      pass: { identity: { value: 'f'.repeat(32), isOriginal: false }, isLost: true },
      isWorkedOn: true,
    },
    {
      what: 'the first transfer of a resource names its only image',
      resource: { ...withContent, metadata: { finalizers } },
      transfer: running,
      pass: { memory: { images: [image.id], next: 1 }, isLost: false, news: { kind: 'active' } },
      isWorkedOn: false,
    },
    {
      what: 'the transfer of a later image does not name the others',
      resource: { ...withContent, metadata: { finalizers } },
      transfer: { ...running, plan: planOf(imageIDOf(uid, 1)) },
      pass: { memory: { images: [imageIDOf(uid, 1)], next: 2 }, isLost: true, news: { kind: 'active' } },
      isWorkedOn: true,
    },
    {
      what: 'a suspended resource has no transfer',
      resource: { spec: { ...withContent.spec, suspend: true } },
      transfer: running,
      pass: { news: { kind: 'none' }, transfer: undefined },
      isWorkedOn: false,
    },
    {
      what: 'a resource that is being deleted has no transfer',
      resource: { ...withContent, metadata: { finalizers, deletionTimestamp } },
      transfer: running,
      pass: { news: { kind: 'none' }, transfer: undefined },
      isWorkedOn: true,
    },
  ];
  for (const { what, resource, transfer, pass: expected, isWorkedOn: isSearched } of rows) {
    test(what, () => {
      const { context } = contextOf({ resource, transfer });
      const pass = begin(key, declaredBy(resourceOf(resource)), { kind: 'live' }, context);
      assert.partialDeepStrictEqual(pass, expected);
      assert.equal(isWorkedOn(pass), isSearched);
    });
  }

  test('a resource that was not moved has the identity of its uid', () => {
    assert.equal(passOf().pass.identity.value, originalIdentity(uid));
  });
});

describe('the opening of a cloud', () => {
  test('a Secret is read for each live reconcile, but not again directly after a transfer or for each of many checks', async () => {
    const succeeded: TransferState = {
      kind: 'succeeded',
      plan: planOf(image.id),
      result: { ...resultOf(1024), image, startedAt: before(1_000), durationMs: 500 },
    };
    const cases = [
      { options: {}, turn: { kind: 'live' }, maxAgeMs: 0 },
      { options: { transfer: succeeded }, turn: { kind: 'live' }, maxAgeMs: 10_000 },
      { options: { transfer: running }, turn: { kind: 'live' }, maxAgeMs: 0 },
      { options: {}, turn: { kind: 'fromCache', sinceMs: 0 }, maxAgeMs: 10_000 },
    ] as const;
    for (const { options, turn, maxAgeMs } of cases) {
      const { pass, context } = passOf({ resource: withContent, ...options }, { turn });
      const asked: number[] = [];
      const cloudVersion = (_: unknown, ms: number) => {
        asked.push(ms);
        return '7';
      };
      await openCloud(pass, { ...context, resources: { ...context.resources, cloudVersion } });
      assert.deepEqual(asked, [maxAgeMs]);
    }
  });

  const missing = new OperatorError('there is no Secret', { code: 'SecretNotFound' });
  const down = new OperatorError('no connection', { code: 'IdentityUnavailable' });
  const cannotOpen = (error: Error) => ({ version: '7', open: () => Promise.reject(error) });
  const other = { ...place, projectID: 'b'.repeat(32) };
  const deleting = { metadata: { deletionTimestamp, finalizers: [finalizer] } };
  const elsewhere = cloudOf(stubGlance(), { place: other });
  const known = cloudOf(stubGlance());
  interface Row {
    what: string;
    options: Parameters<typeof contextOf>[0];
    memory?: Memory;
    /** A code, or where the cloud is. */
    opened: string | undefined;
    version: string | undefined;
  }
  const rows: Row[] = [
    { what: 'the Secret is read', options: {}, opened: place.projectID, version: '7' },
    {
      what: 'an open session is used',
      options: { known, secret: missing },
      opened: place.projectID,
      version: undefined,
    },
    { what: 'a missing Secret is named', options: { secret: missing }, opened: 'SecretNotFound', version: '-' },
    {
      what: 'a cloud that does not respond is named',
      options: { secret: cannotOpen(down) },
      opened: 'IdentityUnavailable',
      version: '7',
    },
    {
      what: 'after a failure the Secret is read again',
      options: { known, secret: missing, resource: { status: { nextAttemptTime: before(1) } } },
      opened: 'SecretNotFound',
      version: '-',
    },
    {
      what: 'a destination that was not known starts the reconcile again',
      options: { secret: { version: '7', open: async () => undefined } },
      opened: undefined,
      version: '7',
    },
    {
      what: 'credentials of another project than that of the images are rejected',
      options: { known: elsewhere },
      memory: promotes(image, { place }),
      opened: 'CloudChanged',
      version: undefined,
    },
    {
      what: 'credentials that name the region of the images are accepted, although the ones before named none',
      options: { known: cloudOf(stubGlance(), { place: { ...place, region: 'RegionOne' } }) },
      memory: promotes(image, { place: { projectID: place.projectID, endpoint: place.endpoint } }),
      opened: place.projectID,
      version: undefined,
    },
    {
      what: 'credentials of another project are accepted while there is no image',
      options: { known: elsewhere },
      opened: other.projectID,
      version: undefined,
    },
    {
      what: 'a deletion uses the last session when the Secret is gone',
      options: { secret: missing, last: known, resource: deleting },
      opened: place.projectID,
      version: '-',
    },
    {
      what: 'a deletion does not use the last session when the cloud does not respond',
      options: { secret: cannotOpen(down), last: known, resource: deleting },
      opened: 'IdentityUnavailable',
      version: '7',
    },
    {
      what: 'only a deletion uses it',
      options: { secret: missing, last: known },
      opened: 'SecretNotFound',
      version: '-',
    },
  ];
  for (const { what, options, memory, opened, version } of rows) {
    test(what, async () => {
      const { pass, context } = passOf(options, memory === undefined ? {} : { memory });
      const { cloud, secret } = await openCloud(pass, context);
      if (cloud.ok) assert.equal(cloud.value?.place.projectID, opened);
      else assert.equal(cloud.error instanceof OperatorError && cloud.error.code, opened);
      assert.equal(secret?.version, version);
    });
  }
});

describe('the knowledge of an image without a call', () => {
  const fingerprint = desiredOf(withContent).fingerprint ?? assert.fail();
  const made = imageOf({ properties: { ...markOf(identity), [contentProperty]: fingerprint } });
  const finding = { imageID: made.id, fingerprint, verdict: 'right' as const, hash: `sha512:${'e'.repeat(128)}` };
  const settled = promotes(made, { findings: [finding] });
  const listed = (found: 'refreshing' | Image | undefined) => ({
    size: 1,
    close: () => {},
    get: () =>
      found === undefined
        ? { kind: 'unknown' as const, why: 'unlisted' as const }
        : found === 'refreshing'
          ? { kind: 'refreshing' as const }
          : { kind: 'seen' as const, image: found },
  });
  const turn = { kind: 'fromCache', sinceMs: 0 } as const;
  interface Row {
    what: string;
    memory?: Memory;
    listed?: 'refreshing' | Image;
    isLive?: boolean;
    declared?: ResourceOptions;
    kind: 'unknown' | 'refreshing' | 'settled';
  }
  const second = imageOf({ id: imageIDOf(uid, 1) });
  const rows: Row[] = [
    { what: 'an image in a list that is as declared settles', listed: made, kind: 'settled' },
    { what: 'an image that differs in a list is looked at itself', listed: { ...made, name: 'x' }, kind: 'unknown' },
    { what: 'a list that is being read is waited for', listed: 'refreshing', kind: 'refreshing' },
    { what: 'an image that no list shows is looked at itself', kind: 'unknown' },
    { what: 'nothing is known of a resource without an image', memory: memoryOf(), listed: made, kind: 'unknown' },
    { what: 'several images are looked at one by one', memory: knows([made, second]), listed: made, kind: 'unknown' },
    { what: 'a comparison with Glance itself uses no list', isLive: true, listed: made, kind: 'unknown' },
    { what: 'a foreign image is looked at itself', listed: { ...made, owner: 'b' }, kind: 'unknown' },
    {
      what: 'data that has to be read back is looked at itself',
      memory: promotes(made),
      listed: made,
      kind: 'unknown',
    },
    {
      what: 'the stores of an image that is wanted in all of them are looked at',
      listed: made,
      declared: { spec: { ...withContent.spec, image: { diskFormat: 'raw', allStores: true } } },
      kind: 'unknown',
    },
  ];
  for (const { what, memory = settled, listed: found, isLive = false, declared = withContent, kind } of rows) {
    test(`${what}`, () => {
      const { pass, cloud } = passOf({ resource: declared }, { memory, turn: isLive ? { kind: 'live' } : turn });
      const seen = glimpse(
        pass,
        desiredOf(declared),
        { ...cloud, cache: listed(found) },
        performOn(stubGlance()),
        undefined,
      );
      assert.equal(seen.kind, kind);
      if (seen.kind === 'settled')
        assert.partialDeepStrictEqual(seen.report, { end: { kind: 'converged' }, memory: { ...settled, place } });
    });
  }

  test('the image that a transfer has just left settles without a call', () => {
    const result = { ...resultOf(1024), image: made, startedAt: before(1_000), durationMs: 500 };
    const transfer: TransferState = { kind: 'succeeded', plan: planOf(made.id), result };
    const { pass, cloud } = passOf({ resource: withContent, transfer });
    const seen = glimpse(pass, desiredOf(withContent), cloud, performOn(stubGlance()), undefined);
    assert.partialDeepStrictEqual(seen, {
      kind: 'settled',
      report: { memory: { promoted: made.id, published: [made.id] }, content: { imageID: made.id, size: 1024 } },
    });
  });
});
