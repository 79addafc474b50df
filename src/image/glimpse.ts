/**
 * What is known of a resource's image without asking for it: from a list, or from the transfer that has just filled it. It may end
 * a reconcile, but nothing is ever changed because of it.
 */
import type { Image } from '../glance/image.ts';
import type { Cloud } from './clouds.ts';
import type { Desired } from './desired.ts';
import { remembered } from './follow.ts';
import { claimOf, revisionOf } from './observe.ts';
import { isWorkedOn, type Pass } from './pass.ts';
import type { PerformContext } from './perform.ts';
import { plan } from './plan.ts';
import type { Report } from './report.ts';
import type { Observed } from './revisions.ts';

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
  const seen = seenImage(pass, cloud);
  if (seen === undefined) return { kind: 'unknown' };
  if (seen === 'refreshing') return { kind: 'refreshing', ms: listPollMs };
  const revision = { ...revisionOf(seen, claimOf(owner, memory)), members: memberReadings.recent(seen.id) };
  const observed = { revisions: [revision], listed: false, configMaps };
  if (revision.ownership.kind === 'foreign' || desired.stores.kind === 'all') return { kind: 'unknown' };
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

/** The only image of a resource. Several are looked at one by one, and those of a lost memory are searched. */
function seenImage(pass: Pass, { cache }: Cloud): Image | 'refreshing' | undefined {
  const { turn, memory, news } = pass;
  if (isWorkedOn(pass)) return undefined;
  const [id, ...others] = memory.images;
  if (id === undefined || others.length > 0) return undefined;
  if (news.kind === 'verified') return news.image;
  if (turn.kind === 'live') return undefined;
  const known = cache.get(id, turn.sinceMs);
  switch (known.kind) {
    case 'seen':
      return known.image;
    case 'refreshing':
      return 'refreshing';
    case 'unknown':
      return undefined;
  }
}
