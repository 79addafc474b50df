/** Calls `pin` on the reading of a list that a test gives. */
import assert from 'node:assert/strict';
import type { GlanceImageStatus } from '../../src/api/status.ts';
import type { Image } from '../../src/glance/image.ts';
import { contentOf } from '../../src/image/model/content.ts';
import { contentMark, fingerprintOf } from '../../src/image/model/fingerprint.ts';
import { contentProperty, imageIDOf, markOf } from '../../src/image/model/identity.ts';
import { createCandidates } from '../../src/image/publishers/candidates.ts';
import { declarationOf, type Following, type Pinning, pin, recovered } from '../../src/image/publishers/resolution.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import type { Demand, Reading } from '../../src/source/resolve/publishers.ts';
import type { Resolution } from '../../src/source/resolve/question.ts';
import { createVirtualClock } from '../clock.ts';
import { key } from './contexts.ts';
import { identity, imageOf, resourceOf, uid } from './resource.ts';

export const now = new Date('2026-01-02T00:00:00Z');
export const [one, two] = [`sha256:${'1'.repeat(64)}`, `sha256:${'2'.repeat(64)}`];
export const url = 'https://images.example.com/9/latest/disk.qcow2';
export const list = 'https://images.example.com/9/latest/SHA256SUMS';
export const http = {
  url,
  digestFrom: { checksums: { url: list } },
  mirrors: [{ url: 'https://mirror.example.com/9/disk.qcow2' }],
};
export const daily = { interval: '24h' };
export const imageID = imageOf().id;

export const resolved = (digest: string, fields: Partial<Resolution> = {}): Reading => ({
  kind: 'resolved',
  resolution: { url, digest, ...fields },
});
export const pending: Reading = { kind: 'pending' };
export const failing: Reading = {
  kind: 'failed',
  error: new OperatorError('the list is empty', { code: 'DigestNotFound' }),
};

export function followingOf(reading: Reading | undefined) {
  const clock = createVirtualClock();
  const demands: Demand[] = [];
  const following: Following = {
    publishers: {
      read(_key, _asked, demand) {
        demands.push(demand);
        return { reading: reading ?? assert.fail('a publisher was read'), nextMs: 60_000 };
      },
      forget: () => {},
      close: async () => {},
    },
    candidates: createCandidates(clock, () => 0.5),
  };
  return { following, demands, clock };
}

export function declared(
  content: Record<string, unknown>,
  status: Partial<GlanceImageStatus> = {},
  spec: Record<string, unknown> = {},
) {
  return resourceOf({ spec: { image: { diskFormat: 'qcow2' }, content, ...spec }, status });
}

export function pinned(
  content: Record<string, unknown>,
  reading: Reading | undefined,
  status: Partial<GlanceImageStatus> = {},
  following = followingOf(reading).following,
): Pinning {
  return pin(key, declared(content, status), following, now);
}

/** The status once `digest` was pinned, and its image is the one to use. */
export function statusWith(digest: string, fields: Partial<NonNullable<GlanceImageStatus['source']>> = {}) {
  const found = pinned({ http }, resolved(digest));
  const source = found.kind === 'pinned' ? { ...found.source, ...fields } : assert.fail();
  return { source, imageID, observedGeneration: 1 };
}

/** What counts: the kind, the digest that is obeyed, and the code of the trouble. */
export function summaryOf(pinning: Pinning): string {
  const { content } = pinning.resource.spec;
  const error = pinning.kind === 'pinned' ? pinning.trouble : pinning.kind === 'open' ? pinning.error : undefined;
  const digest = content?.http?.digest === one ? 'one' : content?.http?.digest === two ? 'two' : '-';
  return [pinning.kind, digest, ...(error === undefined ? [] : [error.code])].join(' ');
}

/** What is pinned by an image of the list of `http`, when it had this digest. */
function pinnedBy(digestThen: string): Pinning {
  return recovered(declared({ http, update: daily }), digestThen, now) ?? assert.fail();
}

export function fingerprintFor(digestThen: string): string {
  return fingerprintOf(contentOf(pinnedBy(digestThen).resource) ?? assert.fail());
}

/** An image that was made for the list of `http`, when it had this digest. */
export function madeFor(digestThen: string, number: number, fields: Partial<Image> = {}): Image {
  const mark = contentMark(fingerprintFor(digestThen), declarationOf(pinnedBy(digestThen)));
  const properties = { ...markOf(identity), [contentProperty]: mark };
  return imageOf({ id: imageIDOf(uid, number), diskFormat: 'qcow2', properties, ...fields });
}

export const pendingNameOf = (number: number) => `ubuntu (pending ${imageIDOf(uid, number).slice(0, 8)})`;
