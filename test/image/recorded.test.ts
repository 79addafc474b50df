/** The status that is written in the middle of a reconcile, so that nothing is forgotten if the process ends there. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { findCondition } from '../../src/api/conditions.ts';
import type { GlanceImageStatus } from '../../src/api/status.ts';
import { dueOf } from '../../src/image/model/due.ts';
import { fingerprintOf } from '../../src/image/model/fingerprint.ts';
import { imageIDOf } from '../../src/image/model/identity.ts';
import { type Memory, withFinding, withPromoted } from '../../src/image/model/memory.ts';
import type { Pinning } from '../../src/image/publishers/resolution.ts';
import type { Moment } from '../../src/image/status/status.ts';
import { recorded, summarise } from '../../src/image/status/status.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { imageOf, resourceOf, uid } from './resource.ts';
import { knows, moment, now, observedOf, promotes, reportOf } from './states.ts';
import { sha256 } from './world-glance.ts';

const old = imageOf();
const next = imageOf({ id: imageIDOf(uid, 1), size: 2048, hash: { algorithm: 'sha512', value: 'b'.repeat(128) } });
const content = { imageID: old.id, url: 'https://example.com/a', digest: sha256('a'), size: 1024 };
const before = summarise(reportOf(old, { kind: 'converged' }, { content }), { observedGeneration: -1 }, moment);
const edited: Moment = { ...moment, generation: 2 };

/** Another image takes the place of the first. */
function promotion(): { memory: Memory; observed: ReturnType<typeof observedOf> } {
  const fingerprint = fingerprintOf({ ...fingerprinted, digest: sha256('b') });
  const known = withFinding(promotes(old), { imageID: next.id, fingerprint, verdict: 'right', size: 2048 });
  const memory = withPromoted(known, next.id, [old.id], now);
  return { memory, observed: observedOf([old, next], memory) };
}

const fingerprinted = {
  source: { kind: 'http' as const, url: 'https://example.com/b', mirrors: [] },
  digestOf: 'Served' as const,
  decompress: 'Auto' as const,
  diskFormat: 'raw',
};

const ready = ({ conditions }: GlanceImageStatus) => findCondition(conditions, 'Ready');

function assertOneImage(status: GlanceImageStatus): void {
  assert.partialDeepStrictEqual(status, {
    imageID: next.id,
    image: { size: 2048, hash: next.hash },
    size: '2Ki',
    content: { imageID: next.id, digest: sha256('b') },
  });
  assert.deepEqual(
    status.revisions?.map(({ imageID, state }) => [imageID, state]),
    [
      [old.id, 'Retired'],
      [next.id, 'Current'],
    ],
  );
  assert.match(findCondition(status.conditions, 'Available')?.message ?? '', new RegExp(next.id));
}

describe('a status that is written in the middle of a reconcile', () => {
  test('after an edit, the image of another declaration is not claimed to be Ready', () => {
    const status = recorded(promotion(), before, edited);
    assert.equal(ready(before)?.status, 'True');
    assert.partialDeepStrictEqual(ready(status), { status: 'False', reason: 'Progressing', observedGeneration: 2 });
    assert.match(ready(status)?.message ?? '', /the operator retires the previous image/);
    assert.equal(findCondition(status.conditions, 'Reconciling')?.status, 'True');
    assert.equal(status.observedGeneration, 1);
    assertOneImage(status);
  });

  test('an image that follows its publisher stays Ready while another revision takes its place', () => {
    const status = recorded(promotion(), before, moment);
    assert.partialDeepStrictEqual(ready(status), { status: 'True', reason: 'Ready', observedGeneration: 1 });
    assert.match(ready(status)?.message ?? '', new RegExp(next.id));
    assert.equal(ready(status)?.lastTransitionTime, ready(before)?.lastTransitionTime);
    assert.equal(findCondition(status.conditions, 'Reconciling'), undefined);
    assertOneImage(status);
  });

  test('the file of the publisher is pinned in the same write as its image becomes the one to use', () => {
    const source = (data: string) => ({ digest: sha256(data), resolvedAt: '2026-01-01T00:00:00Z', declaration: 'x' });
    const resource = resourceOf({});
    const parts = { url: 'https://example.com/list', resource, declared: resource };
    const pinning: Pinning = { kind: 'candidate', before: source('a'), source: source('b'), ...parts };
    const candidate = { ...moment, pinning };
    assert.equal(recorded(promotion(), before, candidate).source?.digest, sha256('b'));
    const { memory } = promotion();
    const other = { ...memory, promoted: old.id, configMaps: ['golden'] };
    assert.equal(
      recorded({ memory: other }, { ...before, source: source('a') }, candidate).source?.digest,
      sha256('a'),
    );
    // A later step that fails does not bring the file before back.
    const error = new OperatorError('503', { code: 'GlanceUnavailable' });
    const failed = { ...reportOf(next, { kind: 'failed', error }), ...promotion() };
    assert.equal(summarise(failed, before, candidate).source?.digest, sha256('b'));
  });

  test('a later process goes on at once, whatever generation the status describes', () => {
    for (const at of [moment, edited]) {
      const status = recorded(promotion(), before, at);
      const resource = resourceOf({ metadata: { generation: at.generation }, status });
      assert.deepEqual(dueOf(resource, undefined, now), { kind: 'now' });
    }
  });

  test('a memory without another image to use changes nothing that people see', () => {
    const memory = { ...promotes(old), configMaps: ['golden'] };
    const { operation, ...shown } = recorded({ memory, observed: observedOf([old], memory) }, before, edited);
    const { operation: _, ...expected } = before;
    assert.deepEqual(shown, expected);
    assert.deepEqual(operation?.['configMaps'], ['golden']);
  });

  test('a status without an image to use claims neither Ready nor Available', () => {
    const memory = knows([]);
    const status = recorded({ memory, observed: observedOf([], memory) }, before, moment);
    assert.partialDeepStrictEqual(ready(status), { status: 'False', reason: 'Progressing' });
    assert.equal(findCondition(status.conditions, 'Available')?.status, 'False');
    assert.deepEqual([status.imageID, status.image, status.content, status.size], Array(4).fill(undefined));
  });
});
