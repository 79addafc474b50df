/** Plans and their steps, until nothing is left to do: also when each step has another effect than was planned. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Conflict, NotAuthorized } from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import { contentProperty, imageIDOf, markOf } from '../../src/image/model/identity.ts';
import type { State } from '../../src/image/model/step.ts';
import type { PerformContext } from '../../src/image/perform/perform.ts';
import { type Pursued, pursue } from '../../src/image/perform/pursue.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { content, identity, imageOf, type ResourceOptions, uid } from './resource.ts';
import { desiredOf, promotes, stateOf, withContent } from './states.ts';
import { type Faults, performOn, stubGlance } from './stub-glance.ts';

const hash = { algorithm: 'sha512', value: 'e'.repeat(128) };
const served = { ...content.http, digest: `sha512:${hash.value}`, decompress: 'None' };
const declared = { spec: { content: { http: served }, image: { diskFormat: 'raw' } } };
const fingerprint = desiredOf(declared).fingerprint ?? assert.fail();
/** Replaced images go at once. */
const withoutOld = { spec: { ...declared.spec, revisions: { keep: 0 } } };
const properties = { ...markOf(identity), [contentProperty]: fingerprint };
const earlier = {
  ...properties,
  [contentProperty]: fingerprint.replace(/sha\d+:[0-9a-f]+/, `sha512:${'f'.repeat(128)}`),
};
const otherHash = { algorithm: 'sha512', value: 'f'.repeat(128) };
/** With data of another declaration, or with wrong data of the present one. */
const first = imageOf({ properties: earlier, hash: otherHash });
const wrong = imageOf({ properties, hash: otherHash });
const secondID = imageIDOf(uid, 1);
const pending = `ubuntu (pending ${secondID.slice(0, 8)})`;
const second = imageOf({ id: secondID, name: pending, hidden: true, properties });
const both = stateOf([first, second], { ...promotes(first), images: [first.id, second.id], next: 2 });
const conflict = (times: number) => {
  let left = times;
  return async () => {
    if (left-- > 0) throw new Conflict('409', { httpStatus: 409 });
    return 'go on' as const;
  };
};

interface Row {
  what: string;
  options?: ResourceOptions;
  held?: readonly Image[];
  state: State;
  faults?: Faults;
  context?: Partial<PerformContext>;
  calls: readonly string[];
  /** The end, or a code. */
  end: string;
}

const rows: Row[] = [
  {
    what: 'a first image is created, and then filled',
    options: withContent,
    state: stateOf([]),
    calls: ['create 0'],
    end: 'transfer',
  },
  {
    what: 'a settled image costs no call',
    held: [second],
    state: stateOf([imageOf({ properties })]),
    calls: [],
    end: 'settled',
  },
  {
    what: 'a replacement happens in its order',
    held: [first, second],
    state: both,
    options: withoutOld,
    calls: ['patch 1 /os_hidden', 'remove 0', 'patch 1 /name'],
    end: 'settled',
  },
  {
    what: 'a replaced image that is in use is retired, once its deletion was tried',
    held: [first, second],
    options: withoutOld,
    state: both,
    faults: { remove: conflict(1) },
    calls: ['patch 1 /os_hidden', 'remove 0', 'patch 0 /name /os_hidden', 'patch 1 /name'],
    end: 'settled',
  },
  {
    what: 'a replaced image that a server uses is retired, without an attempt to delete it',
    held: [first, second],
    options: withoutOld,
    state: both,
    context: { servers: async () => 'used' },
    calls: ['patch 1 /os_hidden', 'patch 0 /name /os_hidden', 'patch 1 /name'],
    end: 'settled',
  },
  {
    what: 'a replaced image is retired if it is not known whether servers use it',
    held: [first, second],
    options: withoutOld,
    state: both,
    context: { servers: () => Promise.reject(new Error('no response')) },
    calls: ['patch 1 /os_hidden', 'patch 0 /name /os_hidden', 'patch 1 /name'],
    end: 'settled',
  },
  {
    what: 'a replaced image that no server uses is deleted',
    held: [first, second],
    options: withoutOld,
    state: both,
    context: { servers: async () => 'unused' },
    calls: ['patch 1 /os_hidden', 'remove 0', 'patch 1 /name'],
    end: 'settled',
  },
  {
    what: 'a replaced image is kept by default',
    held: [first, second],
    state: both,
    calls: ['patch 1 /os_hidden', 'patch 0 /name /os_hidden', 'patch 1 /name'],
    end: 'settled',
  },
  {
    what: 'a change by another client meanwhile is seen, and the plan is made again',
    held: [imageOf({ properties, name: 'changed' })],
    options: { spec: { ...declared.spec, image: { diskFormat: 'raw', name: 'debian' } } },
    state: stateOf([imageOf({ properties })]),
    faults: { patch: conflict(1) },
    calls: ['patch 0 /name', 'get 0', 'patch 0 /name'],
    end: 'settled',
  },
  {
    what: 'used IDs are skipped within one reconcile, after one search',
    options: withContent,
    state: stateOf([]),
    faults: { create: conflict(3) },
    calls: ['create 0', 'get 0', 'list', 'list hidden', 'create 1', 'get 1', 'create 2', 'get 2', 'create 3'],
    end: 'transfer',
  },
  {
    what: 'an image that vanishes is created again',
    options: withContent,
    state: stateOf([imageOf({ properties, status: 'queued', hash: null, checksum: null, name: 'x' })]),
    calls: [`patch 0 /name /${contentProperty}`, 'create 1'],
    end: 'transfer',
  },
  {
    what: 'a rejection ends it with what was done until then',
    held: [first, second],
    options: withoutOld,
    state: both,
    faults: { remove: () => Promise.reject(new NotAuthorized('403', { httpStatus: 403 })) },
    calls: ['patch 1 /os_hidden', 'remove 0', 'get 0'],
    end: 'Forbidden',
  },
  {
    what: 'another client that reverts each change ends it',
    options: { spec: { ...declared.spec, image: { diskFormat: 'raw', name: 'debian' } } },
    held: [imageOf({ properties })],
    state: stateOf([imageOf({ properties })]),
    faults: { patch: conflict(1_000) },
    calls: Array.from({ length: 40 }, () => ['patch 0 /name', 'get 0']).flat(),
    end: 'Conflict',
  },
  {
    what: 'wrong data that came on behalf of the declaration, and was never visible, is deleted and reported before another image is made',
    held: [{ ...wrong, hidden: true }],
    state: stateOf([{ ...wrong, hidden: true }]),
    calls: ['remove 0'],
    end: 'blocked',
  },
  {
    what: 'a foreign image ends it without a call',
    held: [imageOf({ owner: 'b' })],
    state: stateOf([imageOf({ owner: 'b' })]),
    calls: [],
    end: 'blocked',
  },
  {
    what: 'a resource that is gone ends it',
    state: stateOf([]),
    context: { confirm: async () => 'gone' as const },
    calls: [],
    end: 'gone',
  },
  {
    what: 'a status that another process has written ends it',
    held: [first, second],
    state: both,
    context: { record: async (): Promise<'outdated'> => 'outdated' },
    calls: ['patch 1 /os_hidden'],
    end: 'outdated',
  },
];

function endOf(pursued: Pursued): unknown {
  switch (pursued.kind) {
    case 'next':
      return pursued.next.kind;
    case 'failed':
      return pursued.error instanceof OperatorError ? pursued.error.code : pursued.error;
    case 'gone':
    case 'outdated':
      return pursued.kind;
  }
}

describe('plans and their steps until the end', () => {
  for (const { what, options = declared, held = [], state, faults, context, calls, end } of rows) {
    test(what, async () => {
      const glance = stubGlance(held, faults);
      const pursued = await pursue(desiredOf(options), state, performOn(glance, context));
      assert.deepEqual(glance.calls, calls);
      assert.equal(endOf(pursued), end);
    });
  }

  test('the changes before a failure are kept', async () => {
    const glance = stubGlance([first, second], { remove: () => Promise.reject(new Error('x')) });
    const pursued = await pursue(desiredOf(withoutOld), both, performOn(glance));
    assert.partialDeepStrictEqual(pursued, {
      kind: 'failed',
      state: { memory: { promoted: second.id } },
      changes: [{ kind: 'updated', what: ['os_hidden'] }],
    });
  });

  test('the next reconcile goes on behind fifty used IDs', async () => {
    const glance = stubGlance([], { create: conflict(1_000) });
    const pursued = await pursue(desiredOf(declared), stateOf([]), performOn(glance));
    assert.equal(endOf(pursued), 'ImageIDsUsed');
    assert.partialDeepStrictEqual(pursued, { state: { memory: { next: 50 } } });
  });
});
