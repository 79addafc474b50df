import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Image } from '../../src/glance/image.ts';
import { contentProperty, imageIDOf, markOf, ownerProperty } from '../../src/image/model/identity.ts';
import { cutUploadMs, longestSavingMs } from '../../src/image/model/revisions.ts';
import { content, digest, identity, imageOf, uid } from './resource.ts';
import {
  before,
  desiredOf,
  found,
  knows,
  memoryOf,
  outline,
  planFor,
  promotes,
  stateOf,
  withContent,
} from './states.ts';

const fingerprint = desiredOf(withContent).fingerprint ?? assert.fail();
const marks = { ...markOf(identity), [contentProperty]: fingerprint };
const noData = { checksum: null, hash: null, size: null };
/** Made for the declaration `withContent`. */
const made = (fields: Partial<Image> = {}) => imageOf({ properties: marks, ...fields });
const queued = (fields: Partial<Image> = {}) => made({ ...noData, status: 'queued', ...fields });
const second = imageIDOf(uid, 1);
const verified = { fingerprint, verdict: 'right' as const, hash: `sha512:${'e'.repeat(128)}`, size: 1024 };
const interrupted = (ms: number, isCut: boolean) => ({ imageID: imageOf().id, at: before(ms), isCut });

describe('planning', () => {
  test('a resource without an image gets one with the lowest number that is not used up', () => {
    assert.deepEqual(outline(planFor({}, stateOf([], memoryOf({ next: 3 })))), ['create 3', '→ settled 3']);
  });

  test('the first image of a resource is created as declared, and filled', () => {
    const plan = planFor(withContent, stateOf([]));
    assert.deepEqual(outline(plan), ['create 0', '→ fill 0']);
    assert.partialDeepStrictEqual(plan.steps[0], {
      image: { name: 'ubuntu', hidden: false, properties: { [contentProperty]: fingerprint } },
    });
  });

  test('an image in use is not replaced by a newer one with the same data', () => {
    const [one, other] = [made(), made({ id: second, name: 'other' })];
    const both = [one, other].reduce((memory, { id }) => found(memory, { ...verified, imageID: id }), promotes(one));
    const state = stateOf([one, other], { ...both, images: [one.id, other.id], next: 2 });
    const { next } = planFor(withContent, state);
    assert.ok(next.kind === 'settled' && next.image.id === one.id);
  });

  test('the newer of two images with the declared data is promoted if neither is in use', () => {
    const [one, other] = [made(), made({ id: second, name: 'other' })];
    const both = [one, other].reduce(
      (memory, { id }) => found(memory, { ...verified, imageID: id }),
      knows([one, other]),
    );
    const { next } = planFor(withContent, stateOf([one, other], both));
    assert.ok(next.kind === 'settled' && next.image.id === other.id);
  });

  test('a queued image with content is corrected first and filled then', () => {
    assert.deepEqual(outline(planFor(withContent, stateOf([queued({ name: 'other' })]))), [
      'patch 0 /name',
      '→ fill 0',
    ]);
  });

  test('a queued image gets the fingerprint of the present content before its data', () => {
    const older = queued({ properties: { ...marks, [contentProperty]: 'v1;sha256:00;Served;Auto;raw;bare' } });
    assert.deepEqual(outline(planFor(withContent, stateOf([older]))), [`patch 0 /${contentProperty}`, '→ fill 0']);
  });

  test('a queued image satisfies a declaration without content', () => {
    const image = imageOf({ ...noData, status: 'queued' });
    assert.deepEqual(outline(planFor({ spec: { image: { diskFormat: 'raw' } } }, stateOf([image]))), ['→ settled 0']);
  });

  test('a queued image damaged by a failed upload is replaced', () => {
    const damaged = made({ status: 'queued' });
    assert.deepEqual(outline(planFor(withContent, stateOf([damaged]))), ['delete 0', 'create 1', '→ fill 1']);
  });

  test('an image is never patched while its data moves', () => {
    for (const status of ['saving', 'uploading', 'importing']) {
      assert.deepEqual(outline(planFor(withContent, stateOf([made({ status, name: 'other' })]))), ['→ Waiting 0']);
    }
  });

  test('an upload that is known to be cut short may return to queued for a while, and its image is replaced after that', () => {
    const saving = made({ status: 'saving' });
    const after = (ms: number) => stateOf([saving], knows([saving], { interrupted: interrupted(ms, true) }));
    assert.deepEqual(outline(planFor(withContent, after(cutUploadMs - 1))), ['→ Waiting 0']);
    assert.deepEqual(outline(planFor(withContent, after(cutUploadMs))), ['delete 0', 'create 1', '→ fill 1']);
  });

  test('an upload of which Glance may have all bytes is waited for an hour', () => {
    const saving = made({ status: 'saving' });
    const after = (ms: number) => stateOf([saving], knows([saving], { interrupted: interrupted(ms, false) }));
    assert.deepEqual(outline(planFor(withContent, after(longestSavingMs - 1))), ['→ Waiting 0']);
    assert.deepEqual(outline(planFor(withContent, after(longestSavingMs))), ['delete 0', 'create 1', '→ fill 1']);
  });

  test('an upload by another client into an image without content is never interrupted', () => {
    const saving = imageOf({ status: 'saving' });
    const memory = knows([saving], { interrupted: interrupted(100 * longestSavingMs, true) });
    assert.deepEqual(outline(planFor({}, stateOf([saving], memory))), ['→ Waiting 0']);
  });

  test('a change of the declared format makes another image, and formats of an image with data are never changed', () => {
    const image = made({ diskFormat: 'qcow2' });
    const plan = planFor(withContent, stateOf([image], promotes(image)));
    assert.deepEqual(outline(plan), ['create 1', '→ fill 1']);
    assert.partialDeepStrictEqual(plan.steps[1], {
      image: { hidden: true, name: `ubuntu (pending ${second.slice(0, 8)})` },
    });
  });

  test('a deactivated image with the declared data is reported, not reactivated', () => {
    const image = made({ status: 'deactivated' });
    const memory = found(promotes(image), { imageID: image.id, ...verified });
    const plan = planFor(withContent, stateOf([image], memory));
    assert.deepEqual(outline(plan), ['→ Deactivated']);
    assert.match(
      plan.next.kind === 'blocked' ? plan.next.message : '',
      /an administrator of the cloud can reactivate it/,
    );
  });

  test('a deactivated image that was never verified stays hidden, and is reported as not verifiable', () => {
    const image = made({ status: 'deactivated', hidden: true });
    assert.deepEqual(outline(planFor(withContent, stateOf([image]))), ['→ NotVerifiable']);
  });

  test('Purge removes undeclared properties, except the marks and those that Glance sets', () => {
    const image = imageOf({ properties: { ...markOf(identity), stray: 'x', os_glance_importing_to_stores: '' } });
    const [step] = planFor({}, stateOf([image])).steps;
    assert.deepEqual(step?.kind === 'patch' && step.operations, [{ op: 'remove', path: '/stray' }]);
  });

  test('Merge keeps foreign properties and removes formerly declared ones', () => {
    const image = imageOf({ properties: { ...markOf(identity), stray: 'x', ours: 'y' } });
    const state = stateOf([image], knows([image], { propertyKeys: ['ours'] }));
    const [step] = planFor({ spec: { propertyPolicy: 'Merge' } }, state).steps;
    assert.deepEqual(step?.kind === 'patch' && step.operations, [{ op: 'remove', path: '/ours' }]);
  });

  test('with Merge, new keys of properties are recorded before they reach Glance', () => {
    const options = { spec: { propertyPolicy: 'Merge', image: { properties: { ours: 'y' } } } };
    assert.deepEqual(outline(planFor(options, stateOf([imageOf()]))), ['record', 'patch 0 /ours', '→ settled 0']);
    assert.deepEqual(outline(planFor(options, stateOf([]))), ['record', 'create 0', '→ settled 0']);
  });

  test('a property that an import plugin has set, or that Glance did not remove today, stays', () => {
    const image = imageOf({ properties: { ...markOf(identity), plugin: 'x', stuck: 'y' } });
    const memory = (ms: number) =>
      knows([image], { injected: ['plugin'], unremovable: { keys: ['stuck'], at: before(ms) } });
    assert.deepEqual(outline(planFor({}, stateOf([image], memory(3_600_000)))), ['→ settled 0']);
    const aDayLater = outline(planFor({}, stateOf([image], memory(24 * 3_600_000))));
    assert.deepEqual(aDayLater, ['patch 0 /stuck', '→ settled 0']);
  });

  test('a removed owner mark is restored on an image that the memory names', () => {
    const [step] = planFor({}, stateOf([imageOf({ properties: {} })])).steps;
    assert.equal(step?.kind === 'patch' && step.operations.length, 2);
  });

  test('an owner mark that was removed a fourth time within an hour is left alone, and reported', () => {
    const image = imageOf({ properties: {} });
    const state = (restored: number, ms: number) =>
      stateOf([image], knows([image], { marks: { restored, at: before(ms) } }));
    assert.equal(planFor({}, state(2, 0)).steps.length, 1);
    assert.deepEqual(outline(planFor({}, state(3, 3_599_999))), ['→ MarkContested']);
    assert.equal(planFor({}, state(3, 3_600_000)).steps.length, 1);
  });

  test('a property that Glance could never change again is rejected', () => {
    assert.throws(() => planFor({ spec: { image: { properties: { ' a': 1 } } } }, stateOf([])), {
      code: 'InvalidSpec',
      message: /" a": Glance strips white space/,
    });
  });

  const theirs = [
    { what: 'given to another project', fields: { owner: 'b'.repeat(32) }, message: /openstack image set --project/ },
    {
      what: 'without an owner',
      fields: { owner: null },
      message: /has no owner now, and is left as it is\. To take it back, (?!.*null)/,
    },
    {
      what: 'with the mark of another owner',
      fields: { properties: { ...marks, [ownerProperty]: 'other' } },
      message: /bears the mark of another owner/,
    },
    {
      what: 'with the mark of another cluster',
      fields: { properties: { ...marks, glance_image_operator_cluster: 'other' } },
      message: /bears the mark of another cluster/,
    },
  ];
  for (const { what, fields, message } of theirs) {
    test(`an image ${what} is foreign: nothing is planned on it, and the plan says why`, () => {
      const plan = planFor({}, stateOf([imageOf(fields)]));
      assert.deepEqual(outline(plan), ['→ TakenOver']);
      assert.match(plan.next.kind === 'blocked' ? plan.next.message : '', message);
    });
  }

  test('an image moves to the project that is declared now', () => {
    const [, step] = planFor({ spec: { image: { owner: 'c'.repeat(32) } } }, stateOf([imageOf()])).steps;
    assert.deepEqual(step?.kind === 'patch' && step.operations, [
      { op: 'replace', path: '/owner', value: 'c'.repeat(32) },
    ]);
  });
});

describe('the replacement of an image', () => {
  const old = imageOf({ hash: { algorithm: 'sha256', value: '2'.repeat(64) } });
  const asServed = { http: { ...content.http, decompress: 'None' } };
  const declared = { spec: { ...withContent.spec, content: asServed } };
  const other = desiredOf(declared).fingerprint ?? assert.fail();
  const pending = imageOf({
    id: second,
    name: `ubuntu (pending ${second.slice(0, 8)})`,
    hidden: true,
    hash: { algorithm: 'sha256', value: digest.slice(7) },
    properties: { ...marks, [contentProperty]: other },
  });
  const both = { ...promotes(old), images: [old.id, second], next: 2 };

  test('an image in use that has other data than declared stays until another one is verified', () => {
    assert.deepEqual(outline(planFor(declared, stateOf([old], promotes(old)))), ['create 1', '→ fill 1']);
  });

  test('a verified image becomes visible, is recorded as the one to use, replaces the old one, and gets its name', () => {
    const plan = planFor(declared, stateOf([old, pending], both));
    const visible = 'patch 1 /os_hidden';
    const retired = 'patch 0 /name /os_hidden';
    assert.deepEqual(outline(plan), [visible, 'record 1', retired, 'patch 1 /name', '→ settled 1']);
    const alone = planFor({ spec: { ...declared.spec, revisions: { keep: 0 } } }, stateOf([old, pending], both));
    assert.deepEqual(outline(alone), [visible, 'record 1', 'delete 0', 'patch 1 /name', '→ settled 1']);
  });

  test('a replaced image that is in use is hidden and renamed, and deletion is tried again after an hour', () => {
    const memory = (ms: number) => ({
      ...both,
      promoted: second,
      published: [old.id, second],
      retired: [{ imageID: old.id, at: before(3_600_000) }],
      inUse: [{ imageID: old.id, at: before(ms) }],
    });
    const visible = { ...pending, hidden: false };
    const alone = { spec: { ...declared.spec, revisions: { keep: 0 } } };
    const plan = planFor(alone, stateOf([old, visible], memory(0)));
    assert.deepEqual(outline(plan), ['patch 0 /name /os_hidden', 'patch 1 /name', '→ settled 1']);
    const later = outline(planFor(alone, stateOf([old, visible], memory(3_600_000))));
    assert.deepEqual(later, ['delete 0', 'patch 1 /name', '→ settled 1']);
  });

  test('an empty image next to the one in use is deleted when that one has the declared data', () => {
    const right = imageOf({ hash: pending.hash, properties: pending.properties });
    const empty = { ...pending, ...noData, status: 'queued' };
    assert.deepEqual(outline(planFor(declared, stateOf([right, empty], both))), ['delete 1', '→ settled 0']);
  });
});
