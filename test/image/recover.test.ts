/** The digest that a publisher provided, after the status was lost: when it has to be found on the images, and which one counts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { finalizer, identityAnnotation } from '../../src/api/group.ts';
import { GlanceConnectionFailed } from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import { asOperation, blankMemory, memoryVersion } from '../../src/image/model/memory.ts';
import { begin, type Pass } from '../../src/image/reconcile/pass.ts';
import { isUnpinned, mayBeLost, recover } from '../../src/image/reconcile/recover.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { type ContextOptions, contextOf, key } from './contexts.ts';
import {
  daily,
  declared,
  followingOf,
  http,
  madeFor,
  one,
  pendingNameOf,
  pinned,
  resolved,
  summaryOf,
  two,
} from './pinning.ts';
import { digest, imageOf, type ResourceOptions, resourceOf, uid } from './resource.ts';
import { type Faults, fail, stubGlance } from './stub-glance.ts';

const finalizers = [finalizer];
const deletionTimestamp = '2026-01-01T00:00:00Z';
const promoted = imageOf().id;
const known = {
  ...blankMemory(uid),
  next: 1,
  images: [promoted],
  published: [promoted],
  promoted,
  incomplete: true as const,
};

/** The beginning of a reconcile of a resource whose digest is left to a publisher, unless it is `declared`. */
function passOf(resource: ResourceOptions, kind: 'declared' | 'pinned' = 'pinned'): Pass {
  const one = resourceOf(resource);
  const source = { digest, resolvedAt: '2026-01-01T00:00:00Z', declaration: 'x' };
  const parts = { url: 'https://example.com/SHA256SUMS', resource: one, declared: one };
  return begin(
    key,
    kind === 'pinned' ? { kind, source, ...parts } : { kind, ...parts },
    { kind: 'live' },
    contextOf().context,
  );
}

const starts: readonly {
  what: string;
  resource: ResourceOptions;
  kind?: 'declared';
  isUnpinned: boolean;
  isLost: boolean;
}[] = [
  { what: 'after the status was lost', resource: { metadata: { finalizers } }, isUnpinned: true, isLost: true },
  { what: 'of a resource that is new', resource: {}, isUnpinned: false, isLost: false },
  {
    what: 'of a resource that has its identity still, and lost the finalizer too',
    resource: { metadata: { annotations: { [identityAnnotation]: 'f'.repeat(32) } } },
    isUnpinned: true,
    isLost: true,
  },
  {
    what: 'that is declared itself',
    resource: { metadata: { finalizers } },
    kind: 'declared',
    isUnpinned: false,
    isLost: true,
  },
  {
    what: 'of a suspended resource',
    resource: { spec: { suspend: true }, metadata: { finalizers } },
    isUnpinned: false,
    isLost: true,
  },
  {
    what: 'of a resource that is being deleted',
    resource: { metadata: { finalizers, deletionTimestamp } },
    isUnpinned: false,
    isLost: true,
  },
  {
    what: 'of a resource with a memory of a later version',
    resource: { metadata: { finalizers }, status: { operation: { version: memoryVersion + 1, uid } } },
    isUnpinned: false,
    isLost: false,
  },
  {
    what: 'of a resource whose image to use is that of an earlier declaration',
    resource: { metadata: { finalizers }, status: { imageID: promoted, operation: asOperation(known) } },
    isUnpinned: false,
    isLost: false,
  },
];

for (const { what, resource, kind, isUnpinned: isSearched, isLost } of starts) {
  test(`the digest ${what} is ${isSearched ? '' : 'not '}looked for on the images`, () => {
    assert.equal(isUnpinned(passOf(resource, kind)), isSearched);
    assert.equal(mayBeLost(resourceOf(resource)), isLost);
  });
}

const empty = { status: 'queued', hidden: true, size: null, checksum: null, hash: null } as const;
const unmarked = imageOf({ diskFormat: 'qcow2' });
const away = new OperatorError('there is no Secret', { code: 'SecretNotFound' });
const down = new GlanceConnectionFailed('no response', 'GlanceUnreachable', {});

const rows: readonly {
  what: string;
  held?: readonly Image[];
  faults?: Faults;
  options?: ContextOptions;
  /** The pinning, `again`, the code of an error, or nothing. */
  found: string | undefined;
  /** The newer file that goes on to be made. */
  made?: string;
}[] = [
  { what: 'the digest of the one image is pinned', held: [madeFor(one, 0)], found: 'pinned one' },
  { what: 'nothing is pinned where there is no image', found: undefined },
  { what: 'an image that does not say for what it was made pins nothing', held: [unmarked], found: undefined },
  {
    what: 'an image of another owner pins nothing',
    held: [madeFor(one, 0, { owner: 'b'.repeat(32) })],
    found: undefined,
  },
  {
    what: 'an image that Glance has given up pins nothing',
    held: [madeFor(one, 0, { status: 'killed' })],
    found: undefined,
  },
  {
    what: 'the newest of several images with data counts',
    held: [madeFor(one, 0), madeFor(two, 1)],
    found: 'pinned two',
  },
  {
    what: 'a visible image counts rather than a hidden one that is newer',
    held: [madeFor(one, 0), madeFor(two, 1, { hidden: true })],
    found: 'pinned one',
  },
  {
    what: 'a newer image without data goes on to be made next to the current one',
    held: [madeFor(one, 0), madeFor(two, 1, { ...empty, name: pendingNameOf(1) })],
    found: 'candidate two',
    made: two,
  },
  {
    what: 'an image without data is better than none',
    held: [madeFor(two, 1, empty)],
    found: 'pinned two',
  },
  {
    what: 'a destination that was not known begins again in its own flow',
    options: { secret: { version: '7', open: async () => undefined } },
    found: 'again',
  },
  { what: 'a Secret that is missing is a failure', options: { secret: away }, found: 'SecretNotFound' },
  {
    what: 'a Glance that does not respond is a failure, because its images may have the digest',
    faults: { list: fail(down) },
    found: 'GlanceUnreachable',
  },
];

for (const { what, held, faults, options, found, made } of rows) {
  test(`after a lost status, ${what}`, async () => {
    const glance = stubGlance(held, faults);
    const { following } = followingOf(resolved(two));
    const resource = { metadata: { finalizers } };
    const { context } = contextOf({ glance, resource, ...options });
    const lost = declared({ http, update: daily });
    const first = pinned({ http, update: daily }, resolved(two), {}, following);
    const pinning = { ...first, declared: { ...lost, metadata: { ...lost.metadata, finalizers } } };
    const pass = begin(
      key,
      { ...pinning, resource: { ...first.resource, metadata: pinning.declared.metadata } },
      { kind: 'live' },
      context,
    );
    const recovering = recover(pass, { ...context, following });
    const outcome = await recovering.then(
      (one) => (one === undefined || one === 'again' ? one : summaryOf(one)),
      (error: unknown) => (error instanceof OperatorError ? error.code : assert.fail(String(error))),
    );
    assert.equal(outcome, found);
    assert.equal(following.candidates.current(key)?.digest, made);
  });
}
