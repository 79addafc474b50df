/**
 * What is known of a resource's image without asking for it: from a list, or from the transfer that has just filled it. It may end
 * a reconcile, but nothing is ever changed because of it.
 */
import type { Image } from '../../glance/image.ts';
import type { Cloud } from '../access/clouds.ts';
import type { Desired } from '../model/desired.ts';
import type { Report } from '../model/report.ts';
import type { Observed } from '../model/revisions.ts';
import { withRevision } from '../model/simulate.ts';
import { claimOf, isSameSite, revisionOf } from '../observe/observe.ts';
import type { PerformContext } from '../perform/perform.ts';
import { plan } from '../plan/plan.ts';
import { remembered } from './follow.ts';
import { isWorkedOn, type Pass } from './pass.ts';

export type Glimpse =
  | { kind: 'unknown' }
  /** A list is being read. */
  | { kind: 'refreshing'; ms: number }
  /** Nothing is left to do. */
  | { kind: 'settled'; report: Report };

/** A list is being read; those who need it look again after this time. */
const listPollMs = 2_000;

export function glimpse(
  pass: Pass,
  desired: Desired,
  cloud: Cloud,
  { owner, memberReadings, clock }: Pick<PerformContext, 'owner' | 'memberReadings' | 'clock'>,
  configMaps: Observed['configMaps'],
): Glimpse {
  const { memory, news } = pass;
  const now = clock.now();
  const seen = seenImages(pass, cloud);
  if (seen === undefined) return { kind: 'unknown' };
  if (seen === 'refreshing') return { kind: 'refreshing', ms: listPollMs };
  const revisions = seen.map((image) => ({
    ...revisionOf(image, claimOf(owner, memory)),
    members: memberReadings.recent(image.id),
  }));
  const observed = revisions.reduce<Observed>(withRevision, { revisions: [], listed: false, configMaps });
  const isForeign = revisions.some(({ ownership }) => ownership.kind === 'foreign');
  if (isForeign || desired.stores.kind === 'all') return { kind: 'unknown' };
  const { steps, next } = plan(desired, { observed, memory }, now);
  if (steps.length > 0 || next.kind !== 'settled') return { kind: 'unknown' };
  const settled = remembered(memory, next, observed, desired, now);
  const content = news.kind === 'verified' ? news.content : undefined;
  const report = {
    end: { kind: 'converged' as const },
    memory: { ...settled, place: cloud.place },
    observed,
    content,
    changes: [],
  };
  return { kind: 'settled', report };
}

/** All images of a resource. Those of a lost memory are searched, and all are asked for next to one that a transfer has just filled. */
function seenImages(pass: Pass, { cache, place }: Cloud): Image[] | 'refreshing' | undefined {
  const { turn, memory, news } = pass;
  if (isWorkedOn(pass) || memory.images.length === 0) return undefined;
  if (news.kind === 'verified') {
    const isOnly = memory.images.length === 1;
    // The credentials may lead elsewhere than those of the transfer.
    const isThere = memory.place === undefined || isSameSite(memory.place, place);
    return isOnly && isThere && news.image !== undefined ? [news.image] : undefined;
  }
  if (turn.kind === 'live') return undefined;
  const seen: Image[] = [];
  let isRefreshing = false;
  for (const id of memory.images) {
    const known = cache.get(id, turn.sinceMs);
    if (known.kind === 'unknown') return undefined;
    if (known.kind === 'seen') seen.push(known.image);
    else isRefreshing = true;
  }
  return isRefreshing ? 'refreshing' : seen;
}
