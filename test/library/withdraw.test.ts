/** What the end of a failed creation removes: each state of the image and of its upload. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import type { ImageClient } from '../../src/glance/client/index.ts';
import { Conflict, GlanceConnectionFailed, GlanceUnavailable, ImageCorrupted } from '../../src/glance/errors.ts';
import { neverAborted } from '../../src/lib/abort.ts';
import { type Sending, startSending, withdraw } from '../../src/library/withdraw.ts';
import { imageId, imageOf } from '../glance/model.ts';

const size = 5;
const states = ['not begun', 'begun', 'complete', 'confirmed'] as const;
const failures = {
  abort: new Error('enough'),
  conflict: new Conflict('not queued'),
  lost: new GlanceConnectionFailed('no response', 'GlanceUnreachable', {}),
  page: new GlanceUnavailable('a page', {}),
  corrupted: new ImageCorrupted('another size'),
};

/** Whether an image with these attributes is removed. */
async function isRemoved(
  attributes: { status: string; size: number },
  {
    failure,
    isNew,
    state,
    hasThrown = false,
  }: {
    failure: unknown;
    isNew: boolean;
    state: Sending['state'];
    hasThrown?: boolean;
  },
): Promise<boolean> {
  const removed: string[] = [];
  const client = {
    get: async () => imageOf(attributes),
    patch: async () => imageOf(attributes),
    remove: async (id: string) => void removed.push(id),
  };
  const sending: Sending = { ...startSending(), state, bytes: size, hasThrown: () => hasThrown };
  await withdraw(client, imageId, { failure, isNew, sending }, neverAborted());
  return removed.length > 0;
}

for (const [name, failure] of Object.entries(failures))
  for (const state of states)
    for (const isNew of [true, false]) {
      const when = `after the failure "${name}" when its upload was ${state} and its id was ${isNew ? 'new' : 'given'}`;
      const creation = { failure, isNew, state };
      const isConfirmed = state === 'confirmed';
      const isPossible = failure !== failures.conflict;

      test(`a queued image is removed ${when}`, async () => {
        assert.ok(await isRemoved({ status: 'queued', size }, creation));
      });

      test(`an image that is being filled is removed ${when} only if the data can only be ours`, async () => {
        const isLost = failure === failures.lost || failure === failures.page;
        const isOurs = isPossible && state !== 'not begun' && (isNew || !isLost);
        assert.equal(await isRemoved({ status: 'saving', size }, creation), isConfirmed || isOurs);
      });

      test(`an active image is removed ${when} only if the data can only be ours`, async () => {
        const isOurs = isPossible && isNew && state === 'complete';
        assert.equal(await isRemoved({ status: 'active', size }, creation), isConfirmed || isOurs);
        assert.equal(await isRemoved({ status: 'active', size: size + 1 }, creation), isConfirmed);
      });

      test(`an image in a state that no upload leads to is kept ${when}`, async () => {
        for (const status of ['uploading', 'importing', 'deactivated', 'killed'])
          assert.equal(await isRemoved({ status, size }, creation), isConfirmed);
      });
    }

for (const [name, failure] of Object.entries(failures))
  test(`an image that is being filled is removed after its data threw the failure "${name}", which says nothing about Glance`, async () => {
    for (const isNew of [true, false])
      assert.ok(await isRemoved({ status: 'saving', size }, { failure, isNew, state: 'begun', hasThrown: true }));
  });

test('an error is one of the data if the data threw it, whatever its class', async () => {
  const sending = startSending();
  const failing = {
    [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(failures.conflict) }),
  };
  const pieces = sending.through(failing)[Symbol.asyncIterator]();
  assert.equal(sending.hasThrown(failures.conflict), false);
  await assert.rejects(pieces.next(), failures.conflict);
  assert.deepEqual([sending.hasThrown(failures.conflict), sending.hasThrown(failures.lost)], [true, false]);
});

test('the protection of an image is taken off before the image is removed', async () => {
  const calls: unknown[] = [];
  const client = {
    get: async () => imageOf({ status: 'queued', protected: true }),
    async patch(...[, operations]: Parameters<ImageClient['patch']>) {
      calls.push(operations);
      return imageOf();
    },
    remove: async () => void calls.push('removed'),
  };
  await withdraw(client, imageId, { failure: failures.abort, isNew: true }, neverAborted());
  assert.deepEqual(calls, [[{ op: 'replace', path: '/protected', value: false }], 'removed']);
});

test('an upload is begun with the first piece of its data, counts all of them, and is complete at their end', async () => {
  const sending = startSending();
  const seen: unknown[] = [sending.state];
  for await (const _ of sending.through(Readable.from([Buffer.alloc(3), Buffer.alloc(4)])))
    seen.push(sending.state, sending.bytes);
  assert.deepEqual([...seen, sending.state], ['not begun', 'begun', 3, 'begun', 7, 'complete']);
});
