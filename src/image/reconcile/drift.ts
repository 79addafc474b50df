/**
 * When a settled resource is compared with Glance again, and whether a list suffices.
 *
 * Guarantees: it is compared within its interval, however often it is reconciled; a difference from its status in a list is
 * compared at once, with Glance itself; after a restart the comparisons are spread, so that they do not reach Glance all at once.
 */
import type { GlanceImage } from '../../api/glanceimage.ts';
import type { ImageChange } from '../../glance/image-cache.ts';
import { type Clock, jitter, type Random } from '../../lib/clock.ts';
import { unreachable } from '../../lib/errors.ts';
import type { Key } from '../../lib/key.ts';
import type { Resources } from '../access/resources.ts';
import { dueOf } from '../model/due.ts';
import { isAsSeen } from '../status/seen.ts';

export type Comparison =
  | { kind: 'notDue'; ms: number }
  /** Now; a list of the monotonic time `sinceMs` or later suffices. */
  | { kind: 'fromCache'; sinceMs: number }
  /** Now, by asking for the image itself. */
  | { kind: 'live' };

export interface Drift {
  /** For a settled resource. An interval of 0 turns the comparisons off. */
  next(key: Key, intervalMs: number): Comparison;
  /** It was compared by a reconcile that began at the monotonic time `startedMs`. Returns the wait until the next, in ms. */
  compared(key: Key, startedMs: number, intervalMs: number): number;
  /** A list shows a change. Triggers the resource whose status differs from it. */
  onChange(change: ImageChange): void;
  forget(key: Key): void;
}

export interface DriftOptions {
  resources: Pick<Resources, 'get' | 'ofImage' | 'secretVersions'>;
  /** Has the reconciler look at a key. */
  wake: (key: Key) => void;
  clock: Clock;
  random: Random;
}

/** All in monotonic milliseconds. */
interface Schedule {
  dueAt: number;
  /** The status shows Glance at this time or later. */
  sinceMs: number;
  /** When a list last differed, unless a comparison has begun since. */
  suspectedAt: number | undefined;
}

export function createDrift({ resources, wake, clock, random }: DriftOptions): Drift {
  const schedules = new Map<Key, Schedule>();

  function scheduleOf(key: Key, intervalMs: number): Schedule {
    const known = schedules.get(key);
    if (known !== undefined) return known;
    // Settled before this process began.
    const now = clock.monotonic();
    const schedule = { dueAt: now + random() * intervalMs, sinceMs: now, suspectedAt: undefined };
    schedules.set(key, schedule);
    return schedule;
  }

  function suspect(key: Key, differs: (resource: GlanceImage) => boolean): void {
    const resource = resources.get(key);
    if (resource === undefined || resource.spec.suspend || !differs(resource)) return;
    // A resource that is not settled is reconciled anyway.
    const due = dueOf(resource, resources.secretVersions(resource), clock.now());
    if (due.kind !== 'settled' || due.intervalMs === 0) return;
    scheduleOf(key, due.intervalMs).suspectedAt = clock.monotonic();
    wake(key);
  }

  return {
    next(key, intervalMs) {
      if (intervalMs === 0) return { kind: 'notDue', ms: Number.POSITIVE_INFINITY };
      const { dueAt, sinceMs, suspectedAt } = scheduleOf(key, intervalMs);
      if (suspectedAt !== undefined) return { kind: 'live' };
      const ms = dueAt - clock.monotonic();
      return ms > 0 ? { kind: 'notDue', ms } : { kind: 'fromCache', sinceMs };
    },
    compared(key, startedMs, intervalMs) {
      const ms = jitter(0.95 * intervalMs, 0.05, random);
      const now = clock.monotonic();
      const before = schedules.get(key)?.suspectedAt;
      const suspectedAt = before !== undefined && before > startedMs ? before : undefined;
      schedules.set(key, { dueAt: now + ms, sinceMs: now, suspectedAt });
      return ms;
    },
    onChange(change) {
      switch (change.kind) {
        case 'seen':
          for (const key of resources.ofImage(change.image.id)) {
            suspect(key, ({ status }) => status.imageID === change.image.id && !isAsSeen(change.image, status.image));
          }
          return;
        case 'missing':
          for (const key of resources.ofImage(change.id)) suspect(key, () => true);
          return;
        default:
          return unreachable(change);
      }
    },
    forget(key) {
      schedules.delete(key);
    },
  };
}
