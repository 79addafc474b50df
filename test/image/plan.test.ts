import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Image } from '../../src/glance/image.ts';
import { readImage } from '../../src/glance/image.ts';
import { newImage } from '../../src/glance/translation.ts';
import { desire } from '../../src/image/desired.ts';
import { claimOf, imageIDOf, markOf } from '../../src/image/identity.ts';
import { judge } from '../../src/image/observe.ts';
import { type Action, type Memory, plan, savingGraceMs } from '../../src/image/plan.ts';
import { after, blank, kinds, now, planFor, present, withContent } from './planning.ts';
import { content, digest, identity, imageOf, projectID, resourceOf, uid } from './resource.ts';

describe('planning', () => {
  test('a resource without an image gets one with the next incarnation', () => {
    const [action] = planFor({}, { kind: 'absent', incarnation: 3 });
    assert.equal(action?.kind, 'create');
    assert.equal(action?.kind === 'create' && action.incarnation, 3);
  });

  test('a queued image with content is corrected first and filled then', () => {
    const queued = imageOf({ status: 'queued', checksum: null, hash: null, size: null, name: 'other' });
    assert.deepEqual(kinds(planFor(withContent, present(queued))), ['patch', 'transfer']);
  });

  test('a queued image satisfies a declaration without content', () => {
    const queued = imageOf({ status: 'queued', checksum: null, hash: null, size: null });
    assert.deepEqual(planFor({ spec: { image: { diskFormat: 'raw' } } }, present(queued)), []);
  });

  test('a queued image damaged by a failed upload is replaced', () => {
    assert.deepEqual(kinds(planFor(withContent, present(imageOf({ status: 'queued' })))), ['replace']);
  });

  test('an image is never patched during its transfer', () => {
    for (const status of ['saving', 'uploading', 'importing']) {
      assert.deepEqual(kinds(planFor(withContent, present(imageOf({ status, name: 'other' })))), ['wait']);
    }
  });

  test('an interrupted upload may return to queued for a while, and is replaced after that', () => {
    const saving = present(imageOf({ status: 'saving' }));
    assert.deepEqual(kinds(planFor(withContent, saving, after('Waiting', savingGraceMs - 1))), ['wait']);
    assert.deepEqual(kinds(planFor(withContent, saving, after('Waiting', savingGraceMs))), ['replace']);
  });

  test('an upload by another client into an image without content is never interrupted', () => {
    const memory = after('Waiting', 100 * savingGraceMs);
    assert.deepEqual(kinds(planFor({}, present(imageOf({ status: 'saving' })), memory)), ['wait']);
  });

  test('formats of an image with data are never changed', () => {
    const image = imageOf({ diskFormat: 'qcow2', containerFormat: 'ovf' });
    const sent = { imageID: image.id, content: { url: content.http.url, digest } };
    assert.deepEqual(planFor(withContent, present(image), { ...blank, sent, readyImageID: image.id }), []);
  });

  test('an image that was Ready is an error when it has another digest of the declared algorithm', () => {
    const image = imageOf({ hash: { algorithm: 'sha256', value: '2'.repeat(64) } });
    const asServed = { http: { ...content.http, decompress: 'None' } };
    const [action] = planFor({ spec: { ...withContent.spec, content: asServed } }, present(image), {
      ...blank,
      readyImageID: image.id,
    });
    assert.equal(action?.kind === 'refuse' && action.reason, 'ContentMismatch');
    assert.match(action?.kind === 'refuse' ? action.message : '', new RegExp(digest));
  });

  test('an active image whose digest may be that of a decompressed file, without a record of it, is created again', () => {
    const image = imageOf({ hash: { algorithm: 'sha256', value: '2'.repeat(64) } });
    assert.deepEqual(kinds(planFor(withContent, present(image))), ['replace']);
  });

  test('a deactivated image is reported, not reactivated', () => {
    const [action] = planFor(withContent, present(imageOf({ status: 'deactivated' })));
    assert.equal(action?.kind === 'refuse' && action.reason, 'Deactivated');
  });

  test('Purge removes undeclared properties, except the owner marker and those that Glance sets', () => {
    const image = imageOf({ properties: { ...markOf(identity), stray: 'x', os_glance_importing_to_stores: '' } });
    const [action] = planFor({}, present(image));
    assert.deepEqual(action?.kind === 'patch' && action.operations, [{ op: 'remove', path: '/stray' }]);
  });

  test('Merge keeps foreign properties and removes formerly declared ones', () => {
    const image = imageOf({ properties: { ...markOf(identity), stray: 'x', ours: 'y' } });
    const memory: Memory = { ...blank, propertyKeys: ['ours'] };
    const [action] = planFor({ spec: { propertyPolicy: 'Merge' } }, present(image), memory);
    assert.deepEqual(action?.kind === 'patch' && action.operations, [{ op: 'remove', path: '/ours' }]);
  });

  test('a removed owner marker is restored', () => {
    const [action] = planFor({}, present(imageOf({ properties: {} })));
    assert.equal(action?.kind === 'patch' && action.operations.length, 2);
  });

  test('a property that Glance could never change again is rejected', () => {
    assert.throws(() => planFor({ spec: { image: { properties: { ' a': 1 } } } }, { kind: 'absent', incarnation: 0 }), {
      code: 'InvalidSpec',
      message: /" a": Glance strips white space/,
    });
  });

  test('an image given to another project is foreign: nothing is planned on it, and the plan says why', () => {
    const image = imageOf({ owner: 'b'.repeat(32) });
    const observation = judge(image, claimOf(resourceOf(), identity, projectID), 0, image.id);
    assert.deepEqual(kinds(planFor({}, observation)), ['refuse']);
    const [action] = planFor({}, observation);
    assert.equal(action?.kind === 'refuse' && action.reason, 'TakenOver');
  });

  test('an image moves to the project that is declared now', () => {
    const [action] = planFor({ spec: { image: { owner: 'c'.repeat(32) } } }, present(imageOf()));
    assert.deepEqual(action?.kind === 'patch' && action.operations, [
      { op: 'replace', path: '/owner', value: 'c'.repeat(32) },
    ]);
  });

  const key = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
    .filter((text) => text.trim() === text && !(text in imageOf()));
  const specs = fc.record({
    name: fc.string({ minLength: 1, maxLength: 20 }),
    visibility: fc.constantFrom('public', 'private', 'shared', 'community'),
    protected: fc.boolean(),
    hidden: fc.boolean(),
    minDiskGiB: fc.nat(1000),
    minRAMMiB: fc.nat(100_000),
    tags: fc.uniqueArray(fc.string({ minLength: 1, maxLength: 8 }), { maxLength: 5 }),
    properties: fc.dictionary(key, fc.jsonValue(), { maxKeys: 8 }),
  });

  test('a second plan after the first was applied is empty', () => {
    fc.assert(
      fc.property(specs, fc.option(specs), (image, before) => {
        const desired = desire(resourceOf({ spec: { image } }), identity, projectID);
        const start =
          before === null ? undefined : glanceAfter(undefined, planned({ spec: { image: before } }, undefined));
        const after = glanceAfter(start, planned({ spec: { image } }, start));
        assert.deepEqual(plan(desired, present(after), blank, now), []);
      }),
    );
  });
});

function planned(options: Parameters<typeof resourceOf>[0], image: Image | undefined): Action[] {
  return planFor(options, image === undefined ? { kind: 'absent', incarnation: 0 } : present(image));
}

/** Glance, as far as a plan can change it. */
function glanceAfter(image: Image | undefined, actions: Action[]): Image {
  let wire: Record<string, unknown> = image === undefined ? {} : wireOf(image);
  for (const action of actions) {
    if (action.kind === 'create') {
      wire = { ...blankWire, ...newImage(imageIDOf(uid, action.incarnation), action.image) };
    } else if (action.kind === 'patch') {
      for (const operation of action.operations) {
        const name = operation.path.slice(1).replaceAll('~1', '/').replaceAll('~0', '~');
        if (operation.op === 'remove') wire = Object.fromEntries(Object.entries(wire).filter(([at]) => at !== name));
        else wire = Object.fromEntries([...Object.entries(wire), [name, operation.value]]);
      }
    } else {
      assert.fail(`unexpected ${action.kind}`);
    }
  }
  const result = readImage(JSON.parse(JSON.stringify({ ...wire, owner: projectID })));
  assert.ok(result);
  return result;
}

const blankWire = { status: 'queued', created_at: '2026-01-01T00:00:00Z', updated_at: '2026-01-01T00:00:00Z' };

function wireOf(image: Image): Record<string, unknown> {
  return { ...blankWire, ...newImage(image.id, { ...image, owner: projectID }) };
}
