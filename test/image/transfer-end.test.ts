/** Invariant: the end of a transfer is always reported, also while a reconcile is writing an older observation. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { findCondition } from '../../src/api/conditions.ts';
import { finalizer } from '../../src/api/group.ts';
import type { Image } from '../../src/glance/image.ts';
import type { Clouds } from '../../src/image/access/clouds.ts';
import type { Resources } from '../../src/image/access/resources.ts';
import { contentProperty, markOf } from '../../src/image/model/identity.ts';
import { asOperation } from '../../src/image/model/memory.ts';
import { createMemberReadings } from '../../src/image/observe/member-readings.ts';
import { createStripped } from '../../src/image/reconcile/guard.ts';
import { createReconciler } from '../../src/image/reconcile/reconcile.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { executorOf } from '../../src/transfer/executor.ts';
import type { TransferResult } from '../../src/transfer/plan.ts';
import { createScheduler } from '../../src/transfer/scheduler.ts';
import { createVirtualClock } from '../clock.ts';
import { resultOf } from '../transfer/plans.ts';
import { cloudOf, contextOf } from './contexts.ts';
import { content, digest, identity, imageOf, resourceOf } from './resource.ts';
import { desiredOf, knows } from './states.ts';
import { createWorld } from './world.ts';
import { offlineClient, specOf } from './world-glance.ts';

const { signal } = new AbortController();
const declared = {
  spec: { content: { http: { ...content.http, decompress: 'None' } }, image: { diskFormat: 'raw' } },
};
const outage = new OperatorError('Keystone is unreachable', { code: 'IdentityUnavailable' });

/** A reconciler whose first write of a status takes until its transfer has ended as `end` says. */
function setup(end: (image: Image) => Promise<TransferResult>) {
  const clock = createVirtualClock();
  const random = () => 0.5;
  const properties = { ...markOf(identity), [contentProperty]: desiredOf(declared).fingerprint ?? assert.fail() };
  const queued = imageOf({ status: 'queued', size: null, checksum: null, hash: null, properties });
  let image = queued;
  let resource = resourceOf({
    ...declared,
    status: { observedGeneration: 1, conditions: [], operation: asOperation(knows([image])) },
    metadata: { finalizers: [finalizer] },
  });
  const released = Promise.withResolvers<void>();
  const events: string[] = [];
  const { context } = contextOf();
  const resources: Resources = {
    ...context.resources,
    get: () => resource,
    async writeStatus(of, status) {
      released.resolve();
      await new Promise((done) => setImmediate(done));
      resource = { ...of, status };
      return 'written';
    },
    event: (_resource, _type, reason) => void events.push(reason),
  };
  const cloudIs = { down: false };
  const removed: string[] = [];
  // Only the image itself may be requested.
  const images = {
    ...offlineClient(clock, random),
    get: async () => image,
    remove: async (id: string) => void removed.push(id),
  };
  const cloud = cloudOf({ images });
  const clouds: Clouds = {
    ...context.clouds,
    known: () => (cloudIs.down ? undefined : cloud),
    destinationOf: () => 'cloud',
    async read() {
      if (cloudIs.down) throw outage;
      return { version: '1', open: async () => cloud };
    },
  };
  let runs = 0;
  const transfers = createScheduler({
    executor: executorOf(async () => {
      runs++;
      await released.promise;
      const result = await end(queued);
      image = result.image;
      return result;
    }),
    limits: { total: 1, perNamespace: 1, perCloud: 1, perHost: 1 },
    clock,
    onChange: () => {},
  });
  const reconcile = createReconciler({
    ...context,
    resources,
    clouds,
    stripped: createStripped(clock),
    transfers,
    memberReadings: createMemberReadings(clock),
    clock,
    random,
  });
  return {
    cloudIs,
    removed,
    properties,
    become: (other: Image) => {
      image = other;
    },
    pass: () => reconcile('demo/ubuntu', signal, signal),
    status: () => resource.status,
    runs: () => runs,
    events,
  };
}

describe('a transfer that ends while the status is written', () => {
  test('a success during a status write is recorded with the digests that were sent', async () => {
    const { pass, status, runs } = setup(async ({ id, properties }) => ({
      ...resultOf(1024),
      digest,
      imageDigest: `sha512:${'e'.repeat(128)}`,
      image: imageOf({ id, properties }),
    }));
    await pass();
    assert.equal(findCondition(status().conditions, 'Ready')?.reason, 'Transferring');
    await pass();
    assert.equal(findCondition(status().conditions, 'Ready')?.status, 'True');
    assert.equal(status().content?.digest, digest);
    assert.equal(runs(), 1);
  });

  test('a failure during a status write is recorded and the transfer is not started again', async () => {
    const mismatch = new OperatorError('another digest', { code: 'DigestMismatch' });
    const { pass, status, runs, events } = setup(() => Promise.reject(mismatch));
    await pass();
    await pass();
    assert.equal(status().lastError?.reason, 'DigestMismatch');
    assert.deepEqual([runs(), events.at(-1)], [1, 'DigestMismatch']);
  });
});

describe('a transfer that has ended before an outage', () => {
  test('a success before an outage is recorded with the digests that were sent', async () => {
    const { pass, status, runs, cloudIs } = setup(async ({ id, properties }) => ({
      ...resultOf(1024),
      digest,
      image: imageOf({ id, properties }),
    }));
    await pass();
    cloudIs.down = true;
    await pass();
    assert.equal(status().lastError?.reason, 'IdentityUnavailable');
    assert.deepEqual([status().content?.digest, runs()], [digest, 1]);
  });

  test('a hidden image with other data than was sent is removed after the outage', async () => {
    const mismatch = new OperatorError('other data', { code: 'UploadMismatch' });
    const { pass, status, cloudIs, removed, properties, become } = setup(() => Promise.reject(mismatch));
    await pass();
    become(imageOf({ hash: { algorithm: 'sha256', value: '2'.repeat(64) }, properties, hidden: true }));
    cloudIs.down = true;
    await pass();
    assert.equal(status().lastError?.reason, 'IdentityUnavailable');
    cloudIs.down = false;
    await pass();
    assert.equal(status().lastError?.reason, 'ContentMismatch');
    assert.deepEqual(removed, [imageOf().id]);
  });
});

test('a transfer that fails after its progress was shown waits for its next attempt, however often it is reconciled', async () => {
  const world = createWorld({ spec: specOf('a') });
  world.hold();
  for (let passes = 0; world.ready() !== 'False Transferring'; passes++) {
    assert.ok(passes < 10, world.ready());
    await world.step();
    await world.clock.advance(5_000);
  }
  world.serve(() => new OperatorError('the source is away', { code: 'SourceUnavailable' }));
  await world.release();
  for (const _ of [1, 2, 3]) {
    await world.step();
    assert.deepEqual([world.ready(), world.status?.lastError?.attempts], ['False SourceUnavailable', 1]);
    assert.equal(world.isTransferring(), false);
  }
});
