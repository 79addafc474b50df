/** What the end of a reconcile means for the file of a publisher, and for the image to use. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GlanceImageStatus } from '../../src/api/status.ts';
import type { Image } from '../../src/glance/image.ts';
import { contentProperty, markOf } from '../../src/image/model/identity.ts';
import { type DataFinding, isBlank, withCandidate } from '../../src/image/model/memory.ts';
import type { End } from '../../src/image/model/report.ts';
import { type Pinning, withoutCandidate } from '../../src/image/publishers/resolution.ts';
import { afterFile } from '../../src/image/reconcile/after-file.ts';
import { withoutWrong } from '../../src/image/reconcile/follow.ts';
import type { ErrorCode } from '../../src/lib/error-codes.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { passOf } from './contexts.ts';
import { daily, followingOf, http, imageID, one, pinned, resolved, statusWith, two, url } from './pinning.ts';
import { identity, imageOf } from './resource.ts';
import { desiredOf, found, memoryOf, now, observedOf, promotes, withContent } from './states.ts';

const failing = (code: ErrorCode): End => ({ kind: 'failed', error: new OperatorError('no', { code }) });
const converged: End = { kind: 'converged' };
const firstUse = { http: { url, digestFrom: { firstUse: {} } } };
const withoutImage: Partial<GlanceImageStatus> = { ...statusWith(one), imageID: undefined };
const candidateFor = (following: ReturnType<typeof followingOf>['following']) =>
  pinned({ http, update: daily }, resolved(two), statusWith(one), following);

interface Row {
  what: string;
  pinning?: (following: ReturnType<typeof followingOf>['following']) => Pinning;
  /** The digest in the list. */
  reads?: string;
  end: End;
  /** The end that is reported, with the code or the URL. */
  ends: string;
  /** Which file goes on to be made, and which has failed. */
  made?: string;
  rejected?: string;
}

const rows: readonly Row[] = [
  { what: 'a failure of a declared digest stays one', end: failing('DigestMismatch'), ends: 'failed DigestMismatch' },
  {
    what: 'a newer file whose image is the one to use is made no more',
    pinning: candidateFor,
    end: converged,
    ends: 'converged',
  },
  {
    what: 'a newer file that cannot be downloaded now goes on to be made',
    pinning: candidateFor,
    end: failing('SourceUnavailable'),
    ends: 'failed SourceUnavailable',
    made: two,
  },
  ...(['DigestMismatch', 'FormatMismatch', 'Forbidden'] as const).map((code) => ({
    what: `a newer file that ends in ${code} leaves the image as it is`,
    pinning: candidateFor,
    end: failing(code),
    ends: `held ${code}`,
    rejected: two,
  })),
  {
    what: 'a newer file whose list is being read goes on to be made',
    pinning: candidateFor,
    end: { kind: 'resolving', url },
    ends: `resolving ${url}`,
    made: two,
  },
  {
    what: 'the list of a first file that differs from it is read again',
    reads: one,
    pinning: (following) => pinned({ http }, resolved(one), withoutImage, following),
    end: failing('DigestMismatch'),
    ends: `resolving ${url.replace('disk.qcow2', 'SHA256SUMS')}`,
    rejected: one,
  },
  {
    what: 'a file that is pinned, and has an image, fails without another look at its list',
    reads: one,
    pinning: (following) => pinned({ http, update: daily }, resolved(one), statusWith(one), following),
    end: failing('DigestMismatch'),
    ends: 'failed DigestMismatch',
  },
  {
    what: 'a file that is trusted at its first use fails, and nothing is read again',
    reads: one,
    pinning: (following) => pinned(firstUse, resolved(one), {}, following),
    end: failing('DigestMismatch'),
    ends: 'failed DigestMismatch',
  },
];

for (const { what, pinning, reads = two, end, ends, made, rejected } of rows) {
  test(what, () => {
    const { following } = followingOf(resolved(reads));
    const { pass, context } = passOf();
    const of = pinning?.(following) ?? pass.pinning;
    const memory = withCandidate(memoryOf(), of.kind === 'candidate' ? of.source : undefined);
    const report = afterFile({ ...pass, pinning: of }, { end, memory, changes: [] }, { ...context, following });
    assert.equal(outline(report.end), ends);
    assert.equal(following.candidates.current(pass.key)?.digest, made);
    assert.equal(following.candidates.get(pass.key)?.digest, rejected);
    if (end.kind === 'converged') assert.ok(isBlank(report.memory));
  });
}

function outline(end: End): string {
  if (end.kind === 'resolving') return `resolving ${end.url}`;
  return end.kind === 'failed' || end.kind === 'held' ? `${end.kind} ${end.error.code}` : end.kind;
}

test('the image to use has the digest that was pinned before while a newer file is made', () => {
  const candidate = candidateFor(followingOf(resolved(two)).following);
  assert.ok(candidate.kind === 'candidate');
  const before = withoutCandidate(candidate);
  assert.equal(before.kind, 'pinned');
  assert.deepEqual(
    [before.resource, candidate.resource].map(({ spec }) => spec.content?.http?.digest),
    [one, two],
  );
});

const declared = desiredOf(withContent);
const properties = { ...markOf(identity), [contentProperty]: declared.fingerprint ?? '' };
const right = imageOf({ properties });
const finding = {
  imageID,
  fingerprint: declared.binding ?? '',
  verdict: 'right' as const,
  hash: `sha512:${right.hash?.value}`,
};
const usable: readonly { what: string; images: readonly Image[]; findings?: readonly DataFinding[]; stays: boolean }[] =
  [
    { what: 'with verified data stays the one to use', images: [right], findings: [finding], stays: true },
    { what: 'that is gone is not the one to use', images: [], findings: [finding], stays: false },
    { what: 'with data that was never verified is not the one to use', images: [right], stays: false },
    {
      what: 'with another hash than was verified is not the one to use',
      images: [{ ...right, hash: { algorithm: 'sha512', value: 'f'.repeat(128) } }],
      findings: [finding],
      stays: false,
    },
    {
      what: 'that was verified for an earlier declaration stays the one to use',
      images: [right],
      findings: [{ ...finding, fingerprint: finding.fingerprint.replace(/sha256:[0-9a-f]+/, two) }],
      stays: true,
    },
    {
      what: 'that an administrator has deactivated stays the one to use',
      images: [{ ...right, status: 'deactivated' }],
      findings: [finding],
      stays: true,
    },
    { what: 'without data is not the one to use', images: [{ ...right, status: 'queued', hash: null }], stays: false },
  ];

for (const { what, images, findings = [], stays } of usable) {
  test(`after a reconcile, an image ${what}`, () => {
    const memory = findings.reduce(found, promotes(right));
    const { promoted } = withoutWrong(memory, observedOf(images, memory), declared, now);
    assert.equal(promoted, stays ? right.id : undefined);
  });
}
