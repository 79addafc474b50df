/** What is published of the image to use, when, and in which ConfigMaps. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Image } from '../../src/glance/image.ts';
import { contentProperty, imageIDOf, markOf } from '../../src/image/model/identity.ts';
import type { Memory } from '../../src/image/model/memory.ts';
import { publishedData } from '../../src/image/model/published-data.ts';
import type { Publication } from '../../src/image/model/revisions.ts';
import type { PlanStep, State } from '../../src/image/model/step.ts';
import type { OwnConfigMaps } from '../../src/image/perform/config-maps.ts';
import { perform } from '../../src/image/perform/perform.ts';
import type { ErrorCode } from '../../src/lib/error-codes.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { content, digest, identity, imageOf, uid } from './resource.ts';
import { desiredOf, found, knows, outline, planFor, promotes, stateOf, withContent } from './states.ts';
import { noConfigMaps, performOn, stubGlance } from './stub-glance.ts';

const fingerprint = desiredOf(withContent).fingerprint ?? assert.fail();
const marks = { ...markOf(identity), [contentProperty]: fingerprint };
const made = (fields: Partial<Image> = {}) => imageOf({ properties: marks, ...fields });
const second = imageIDOf(uid, 1);
const publishing = (name: string) => ({
  spec: { content, image: { diskFormat: 'raw' }, publish: { configMapRef: { name } } },
});
const declared = publishing('images');
const image = made();
const data = publishedData({ image, name: 'ubuntu', digest });
const verified = (imageID: string) => ({
  imageID,
  fingerprint,
  verdict: 'right' as const,
  hash: `sha512:${'e'.repeat(128)}`,
  size: 1024,
});
const memory = found(promotes(image), verified(image.id));
const known = { ...memory, configMaps: ['images'] };

function seeing(state: State, configMaps: Readonly<Record<string, Publication>>): State {
  return { ...state, observed: { ...state.observed, configMaps: new Map(Object.entries(configMaps)) } };
}
const planned = (seen: Publication, of: Memory = known) =>
  outline(planFor(declared, seeing(stateOf([image], of), { images: seen })));
const unreadable = (code: ErrorCode): Publication => ({
  kind: 'unreadable',
  error: new OperatorError('no right', { code }),
});

describe('the publication of an image', () => {
  test('the ConfigMap has ID, name, declared digest and time of creation, under names of variables', () => {
    assert.deepEqual(data, {
      imageID: image.id,
      imageName: 'ubuntu',
      imageDigest: digest,
      imageDate: '2026-01-01T00:00:00Z',
    });
    for (const key of Object.keys(data)) assert.match(key, /^[A-Za-z_][A-Za-z0-9_]*$/);
  });

  test('without content the digest is that of Glance, and there is none before it has data', () => {
    assert.equal(
      publishedData({ image, name: 'ubuntu', digest: undefined })['imageDigest'],
      `sha512:${'e'.repeat(128)}`,
    );
    assert.ok(
      !Object.hasOwn(publishedData({ image: made({ hash: null }), name: 'ubuntu', digest: undefined }), 'imageDigest'),
    );
  });

  test('a ConfigMap that is as it should be costs no step', () => {
    assert.deepEqual(planned({ kind: 'own', data, isMarked: true }), ['→ settled 0']);
  });

  test('a ConfigMap is remembered before it is created', () => {
    assert.deepEqual(planned({ kind: 'absent' }, memory), ['record 0', 'publish 0 in images', '→ settled 0']);
  });

  test('a ConfigMap that was deleted, changed, or lost its label is written again', () => {
    const changed = { ...data, imageID: 'other' };
    const rows: Publication[] = [
      { kind: 'absent' },
      { kind: 'own', data: changed, isMarked: true },
      { kind: 'own', data: { ...data, more: 'x' }, isMarked: true },
      { kind: 'own', data, isMarked: false },
    ];
    for (const row of rows) assert.deepEqual(planned(row), ['publish 0 in images', '→ settled 0']);
  });

  test('the first image is recorded as the one to use before it is published', () => {
    const fresh = found(knows([image]), verified(image.id));
    assert.deepEqual(planned({ kind: 'absent' }, fresh), [
      'record 0',
      'record 0',
      'publish 0 in images',
      '→ settled 0',
    ]);
  });

  test('a ConfigMap of another owner is reported and not written, and the image is the one to use nevertheless', () => {
    const fresh = found(knows([image]), verified(image.id));
    assert.deepEqual(planned({ kind: 'foreign', why: 'exists and has no owner' }, fresh), [
      'record 0',
      '→ ConfigMapNotOwned',
    ]);
  });

  test('missing rights and outages of the API server are reported as what they are', () => {
    assert.deepEqual(planned(unreadable('PublishForbidden')), ['→ PublishForbidden']);
    assert.deepEqual(planned(unreadable('KubernetesFailed')), ['→ KubernetesFailed']);
  });

  test('another image is published after it is visible and recorded, and before the one before is retired', () => {
    const old = made({ properties: { ...marks, [contentProperty]: 'v1;sha256:00;Served;Auto;raw;bare' } });
    const next = made({ id: second, name: 'ubuntu (pending 12345678)', hidden: true });
    const of = {
      ...found(knows([old, next], { published: [old.id], promoted: old.id }), verified(second)),
      configMaps: ['images'],
    };
    const state = seeing(stateOf([old, next], of), { images: { kind: 'own', data, isMarked: true } });
    const lines = outline(planFor(declared, state));
    assert.deepEqual(
      lines.slice(0, 3).map((line) => line.replace(/ \/.*/, '')),
      ['patch 1', 'record 1', 'publish 1 in images'],
    );
    assert.match(lines[3] ?? '', / 0/);
  });

  test('while another image cannot be published, the one before is retired and not deleted', () => {
    const old = made({ properties: { ...marks, [contentProperty]: 'v1;sha256:00;Served;Auto;raw;bare' } });
    const next = made({ id: second });
    const of = {
      ...found(knows([old, next], { published: [old.id], promoted: second }), verified(second)),
      configMaps: ['images'],
    };
    const state = seeing(stateOf([old, next], of), { images: unreadable('PublishForbidden') });
    const unkept = { spec: { ...declared.spec, revisions: { keep: 0 } } };
    assert.deepEqual(outline(planFor(unkept, state)), ['record 1', 'patch 0 /name /os_hidden', '→ PublishForbidden']);
  });
});

describe('a step that publishes an image', () => {
  test('the ConfigMap gets the time of creation that Glance has set, and not the predicted one', async () => {
    const written: unknown[] = [];
    const glance = stubGlance([image]);
    const configMaps: OwnConfigMaps = { ...noConfigMaps, write: async (_, actual) => void written.push(actual) };
    const predicted = made({ createdAt: '2026-01-01T00:00:09Z' });
    const step: PlanStep = { kind: 'publish', configMap: 'images', image: predicted, name: 'ubuntu', digest };
    const performed = await perform(step, stateOf([image], known), performOn(glance, { configMaps }));
    assert.deepEqual(written, [data]);
    assert.ok(performed.kind === 'done');
    const seen = performed.state.observed.configMaps?.get('images');
    assert.deepEqual(seen, { kind: 'own', data, isMarked: true });
  });
});

describe('a ConfigMap that is not declared any more', () => {
  const own: Publication = { kind: 'own', data, isMarked: true };
  const withdrawn = (seen: Publication) =>
    outline(planFor(withContent, seeing(stateOf([image], known), { images: seen })));

  test('a ConfigMap that is not declared any more is deleted', () => {
    assert.deepEqual(withdrawn(own), ['unpublish images', '→ settled 0']);
  });

  test('a ConfigMap that is gone, or belongs to another owner, is forgotten', () => {
    for (const seen of [{ kind: 'absent' }, { kind: 'foreign', why: 'exists' }] as const)
      assert.deepEqual(withdrawn(seen), ['record 0', '→ settled 0']);
  });

  test('a ConfigMap that the operator has no right to read any more is left to the deletion of the resource', () => {
    assert.deepEqual(withdrawn(unreadable('PublishForbidden')), ['record 0', '→ settled 0']);
    assert.deepEqual(withdrawn(unreadable('KubernetesFailed')), ['→ KubernetesFailed']);
  });

  test('after a change of the name, the new one is written before the old one is deleted', () => {
    const state = seeing(stateOf([image], known), { images: own, renamed: { kind: 'absent' } });
    assert.deepEqual(outline(planFor(publishing('renamed'), state)), [
      'record 0',
      'publish 0 in renamed',
      'unpublish images',
      '→ settled 0',
    ]);
  });
});
