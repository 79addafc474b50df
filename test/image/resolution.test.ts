/** What is pinned of a publisher, and what the status says of something newer. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { findCondition } from '../../src/api/conditions.ts';
import type { GlanceImageStatus } from '../../src/api/status.ts';
import { contentOf } from '../../src/image/model/content.ts';
import { fingerprintOf } from '../../src/image/model/fingerprint.ts';
import type { End } from '../../src/image/model/report.ts';
import { isOfFirstUse, ofFirstUse, type Pinning, pin, recovered } from '../../src/image/publishers/resolution.ts';
import { summarise } from '../../src/image/status/status.ts';
import { isUnshown } from '../../src/image/status/updating.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import type { Reading } from '../../src/source/resolve/publishers.ts';
import { key } from './contexts.ts';
import {
  daily,
  declared,
  failing,
  followingOf,
  http,
  imageID,
  list,
  now,
  one,
  pending,
  pinned,
  resolved,
  statusWith,
  summaryOf,
  two,
  url,
} from './pinning.ts';
import { imageOf, resourceOf } from './resource.ts';
import { moment, promotes } from './states.ts';

describe('what is pinned of a publisher', () => {
  const both = statusWith(one);
  const rows: [string, Record<string, unknown>, Reading | undefined, Partial<GlanceImageStatus>, string][] = [
    ['a declared digest', { http: { url, digest: one } }, undefined, {}, 'declared one'],
    ['nothing, while the list is read for the first time', { http }, pending, {}, 'open -'],
    ['nothing, if the list cannot be used the first time', { http }, failing, {}, 'open - DigestNotFound'],
    ['what is found first', { http }, resolved(one), {}, 'pinned one'],
    ['what was found first, without another request', { http }, undefined, both, 'pinned one'],
    ['what was found first, while the list is read', { http, update: daily }, pending, both, 'pinned one'],
    ['what was found first, if the list fails', { http, update: daily }, failing, both, 'pinned one DigestNotFound'],
    ['something newer, as a candidate', { http, update: daily }, resolved(two), both, 'candidate two'],
    [
      'something newer, if there is no image yet',
      { http, update: daily },
      resolved(two),
      { source: both.source },
      'pinned two',
    ],
    [
      'what was found first, if the list is of another declaration',
      { http: { ...http, digestFrom: { checksums: { url: list, fileName: 'x' } } } },
      pending,
      both,
      'open -',
    ],
  ];
  for (const [what, content, reading, status, expected] of rows)
    test(`${what}: ${expected}`, () => assert.equal(summaryOf(pinned(content, reading, status)), expected));

  const first = { url, digestFrom: { firstUse: {} } };
  const validators = { etag: '"1"' };
  const trusted = (() => {
    const found = pinned({ http: first }, resolved(one, { validators }));
    return { source: found.kind === 'pinned' ? found.source : assert.fail() };
  })();
  const firstRows: [string, Record<string, unknown>, Reading | undefined, Partial<GlanceImageStatus>, string][] = [
    ['nothing, while the file is read for the first time', {}, pending, {}, 'open -'],
    ['the first file', {}, resolved(one), {}, 'pinned one'],
    ['the first file, without another request, before there is an image', {}, undefined, trusted, 'pinned one'],
    [
      'the first file, as long as nothing newer came',
      { update: daily },
      pending,
      { ...trusted, imageID },
      'pinned one',
    ],
    ['another file, as a candidate', { update: daily }, resolved(two), { ...trusted, imageID }, 'candidate two'],
  ];
  for (const [what, content, reading, status, expected] of firstRows)
    test(`of a file that is trusted at its first use, ${what}: ${expected}`, () =>
      assert.equal(summaryOf(pinned({ http: first, ...content }, reading, status)), expected));

  test('the headers of a trusted file are given to the next reading, also after a restart', () => {
    const { following, demands } = followingOf(pending);
    pinned({ http: first, update: daily }, pending, { ...trusted, imageID }, following);
    assert.deepEqual(demands[0]?.known, { resolution: { url, digest: one, validators }, validators });
  });

  test('a transfer that finds another file than the one of its first use says how to accept it', () => {
    const mismatch = new OperatorError('the file has the digest x', { code: 'DigestMismatch' });
    const error = ofFirstUse(mismatch, one);
    assert.equal(error.code, 'DigestMismatch');
    assert.match(
      error.message,
      /has changed since its first use, when its digest sha256:1+ was recorded \(the file has the digest x\): declare content\.update/,
    );
    const fixed = pinned({ http: first }, undefined, trusted);
    assert.deepEqual(
      [fixed, pinned({ http: first, update: daily }, pending, trusted), pinned({ http }, undefined, both)].map(
        isOfFirstUse,
      ),
      [true, false, false],
    );
  });

  test('a signature that is declared after the digest was pinned without one has the list read again, and an unsigned list does not count then', () => {
    const verify = { openPGP: { keysFrom: { secretRef: { name: 'keys' } } } };
    const unsigned = statusWith(one);
    assert.equal(summaryOf(pinned({ http, verify }, pending, unsigned)), 'open -');
    assert.equal(summaryOf(pinned({ http, verify }, failing, unsigned)), 'open - DigestNotFound');
    const signed = pinned({ http, verify }, resolved(two, { signedBy: 'A' }), unsigned);
    assert.equal(summaryOf(signed), 'pinned two');
    const status = signed.kind === 'pinned' ? { ...unsigned, source: signed.source } : assert.fail();
    assert.equal(summaryOf(pinned({ http, verify }, undefined, status)), 'pinned two');
    const other = { openPGP: { keysFrom: { secretRef: { name: 'other' } } } };
    assert.equal(summaryOf(pinned({ http, verify: other }, undefined, status)), 'pinned two');
  });

  test('an older version or signature than the pinned one changes nothing, and is ListOutdated', () => {
    const status = statusWith(one, { version: '1.10', signedAt: '2026-01-01T00:00:00Z' });
    for (const fields of [{ version: '1.9' }, { version: '1.10', signedAt: '2025-12-31T00:00:00Z' }])
      assert.equal(
        summaryOf(pinned({ http, update: daily }, resolved(two, fields), status)),
        'pinned one ListOutdated',
      );
  });

  test('the same digest keeps its time, and takes the new signature and URL', () => {
    const status = statusWith(one, { resolvedAt: '2025-01-01T00:00:00Z' });
    const later = pinned(
      { http, update: daily },
      resolved(one, { signedAt: '2026-01-01T00:00:00Z', url: `${url}.1` }),
      status,
    );
    assert.ok(later.kind === 'pinned');
    assert.deepEqual(
      [later.source.resolvedAt, later.source.signedAt, later.source.url],
      ['2025-01-01T00:00:00Z', '2026-01-01T00:00:00Z', `${url}.1`],
    );
  });

  test('a suspended resource has no list read', () => {
    const { following } = followingOf(undefined);
    const resource = declared({ http, update: daily }, statusWith(one), { suspend: true });
    assert.equal(summaryOf(pin(key, resource, following, now)), 'pinned one');
  });

  test('the list of a resource that is pinned is not read at once after a restart, and with update at its interval', () => {
    const { following, demands } = followingOf(pending);
    pin(key, declared({ http, update: daily }, statusWith(one)), following, now);
    pin(key, declared({ http }), following, now);
    assert.deepEqual(
      demands.map(({ intervalMs, isPinned }) => [intervalMs, isPinned]),
      [
        [86_400_000, true],
        [undefined, false],
      ],
    );
  });

  test('the annotation that requests a reconcile has the list read again, once', () => {
    const { following, demands } = followingOf(pending);
    const metadata = { annotations: { 'glance-image-operator.dev/reconcile-at': 'now' } };
    const resource = (status: Partial<GlanceImageStatus>) => ({
      ...declared({ http, update: daily }, { ...statusWith(one), ...status }),
      metadata: resourceOf({ metadata }).metadata,
    });
    const pinning = pin(key, resource({}), following, now);
    pin(key, resource({ lastHandledReconcileAt: 'now' }), following, now);
    assert.deepEqual(
      demands.map(({ sinceMs }) => sinceMs),
      [Number.POSITIVE_INFINITY, undefined],
    );
    assert.equal(summaryOf(pinning), 'pinned one');
  });

  test('a dated file is fetched from the folder of the URL and of each mirror, and the declared one is tried last', () => {
    const dated = 'https://images.example.com/9/latest/disk-9.8.qcow2';
    const { spec } = pinned({ http }, resolved(one, { url: dated })).resource;
    assert.equal(spec.content?.http?.url, dated);
    assert.deepEqual(spec.content?.http?.mirrors, [{ url: 'https://mirror.example.com/9/disk-9.8.qcow2' }, { url }]);
  });

  test('an index becomes a file on a web server', () => {
    const index = {
      url: 'https://images.example.com/stable.json',
      format: 'JSONPointer',
      file: '/location',
      digest: '/sha256',
      digestOf: 'Image',
    };
    const { resource } = pinned({ index }, resolved(one));
    const { source, digest, digestOf } = contentOf(resource) ?? assert.fail();
    assert.deepEqual(source, { kind: 'http', url, mirrors: [] });
    assert.deepEqual([digest, digestOf], [one, 'Image']);
  });

  test('the fingerprint of a pinned content has the digest as resolved, as that of a declared one', () => {
    const fingerprint = (content: Record<string, unknown>) =>
      fingerprintOf(contentOf(pinned(content, resolved(one)).resource) ?? assert.fail());
    assert.equal(fingerprint({ http }), fingerprint({ http: { url, digest: one } }));
  });

  test('after a lost status the digest of the image is pinned, whatever the list has by now, also without an image that is verified', () => {
    const found = recovered(declared({ http }), one, now) ?? assert.fail();
    assert.equal(summaryOf(found), 'pinned one');
    const status = found.kind === 'pinned' ? { source: found.source } : assert.fail();
    for (const content of [{ http }, { http, update: daily }])
      assert.equal(summaryOf(pinned(content, resolved(two), status)), 'pinned one');
    const filled = pinned({ http }, resolved(one), status);
    assert.ok(filled.kind === 'pinned' && filled.source.url === url);
  });

  test('a newer file is not made any more once a digest was declared instead of its publisher, also after the way back during an outage', () => {
    const { following } = followingOf(resolved(two));
    const { candidates } = following;
    const update = { http, update: daily };
    assert.equal(summaryOf(pinned(update, resolved(two), statusWith(one), following)), 'candidate two');
    pinned({ http: { url, digest: one } }, undefined, { imageID }, following);
    const outage = { ...followingOf(failing).following, candidates };
    assert.equal(summaryOf(pinned(update, failing, statusWith(one), outage)), 'pinned one DigestNotFound');
  });

  test('a file that does not fit its digest has its list read again before it is blamed', () => {
    const { following, demands, clock } = followingOf(pending);
    following.candidates.reject(key, one, new OperatorError('other', { code: 'DigestMismatch' }));
    const pinning = pinned({ http }, undefined, { source: statusWith(one).source }, following);
    assert.ok(pinning.kind === 'pinned' && pinning.isRereading);
    assert.equal(demands[0]?.sinceMs, clock.monotonic());
  });
});

describe('the condition Updating', () => {
  const ready = {
    type: 'Ready',
    status: 'True',
    reason: 'Ready',
    message: 'as declared',
    observedGeneration: 1,
    lastTransitionTime: '2026-01-01T00:00:00Z',
  } as const;
  const previous: GlanceImageStatus = { ...statusWith(one), conditions: [ready] };
  const memory = promotes(imageOf());
  const candidate = pinned({ http, update: daily }, resolved(two, { version: '2' }), previous);
  const status = (pinning: Pinning, end: End, before = previous) =>
    summarise({ end, memory, changes: [] }, before, { ...moment, pinning });
  const conditionsOf = (next: GlanceImageStatus) =>
    next.conditions
      ?.filter(({ type }) => type !== 'Available')
      .map(({ type, status: is, reason }) => `${type} ${is} ${reason}`);
  const waiting: End = { kind: 'waiting', phase: 'Waiting', imageID, why: 'busy', ms: 1000 };
  const held: End = { kind: 'held', error: new OperatorError('wrong', { code: 'DigestMismatch' }) };

  test('a candidate on its way leaves Ready, Reconciling and Stalled as they are, and the pinned source', () => {
    const next = status(candidate, waiting);
    assert.deepEqual(conditionsOf(next), ['Ready True Ready', 'Updating True WaitingForGlance']);
    assert.equal(findCondition(next.conditions, 'Ready')?.message, 'as declared');
    assert.match(findCondition(next.conditions, 'Updating')?.message ?? '', /^the publisher has version 2 \(sha256:2/);
    assert.equal(next.source?.digest, one);
  });

  test('a candidate that fails is Updating False with its reason, and causes no later attempt of the resource', () => {
    const next = status(candidate, held);
    assert.deepEqual(conditionsOf(next), ['Ready True Ready', 'Updating False DigestMismatch']);
    assert.equal(next.nextAttemptTime, undefined);
    assert.equal(next.lastError, undefined);
    assert.equal(next.source?.digest, one);
  });

  test('the source of a candidate is pinned once its image is the current one', () => {
    const next = status(candidate, { kind: 'converged' });
    assert.deepEqual(conditionsOf(next), ['Ready True Ready']);
    assert.equal(next.source?.digest, two);
    assert.equal(next.source?.version, '2');
  });

  test('an edit while a candidate is on its way is not hidden', () => {
    const next = status(candidate, waiting, { ...previous, observedGeneration: 0 });
    assert.ok(conditionsOf(next)?.includes('Ready False WaitingForGlance'));
  });

  test('a publisher that cannot be read is Updating False, and the status is written once', () => {
    const down = pinned({ http, update: daily }, failing, previous);
    assert.ok(isUnshown(down, previous));
    const next = status(down, { kind: 'converged' });
    assert.deepEqual(conditionsOf(next), ['Ready True Ready', 'Updating False DigestNotFound']);
    assert.equal(isUnshown(down, next), false);
    assert.deepEqual(status(down, { kind: 'converged' }, next), next);
    const again = pinned({ http, update: daily }, resolved(one), next);
    assert.ok(isUnshown(again, next));
    assert.deepEqual(conditionsOf(status(again, { kind: 'converged' }, next)), ['Ready True Ready']);
  });

  test('an unchanged list changes no status', () => {
    const same = pinned({ http, update: daily }, resolved(one), previous);
    assert.equal(isUnshown(same, previous), false);
  });

  test('a resource whose list is being read for the first time is reconciling, with the URL of the list', () => {
    const open = pinned({ http }, pending);
    const next = status(open, { kind: 'resolving', url: list }, { observedGeneration: -1 });
    assert.deepEqual(conditionsOf(next), ['Ready False Resolving', 'Reconciling True Progressing']);
    assert.match(findCondition(next.conditions, 'Ready')?.message ?? '', /SHA256SUMS/);
  });
});
