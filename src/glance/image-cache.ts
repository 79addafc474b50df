/**
 * Our images in one project of one cloud, read by lists: the same information as a request for each image, for the
 * price of a few pages.
 *
 * A list runs only if a caller needs newer information than the last one has. It requests the changes since then, by
 * the server's own time, with an overlap for transactions that end late and servers whose clocks disagree. Other
 * changes, mostly deletions, are found by the full list, which takes at most a hundredth of the time. Hidden images are
 * in lists of their own.
 *
 * Invariant: every result was in Glance at or after the time that the caller names. A failed or broken list proves
 * nothing, and no caller waits for a list. An image that is in no list may still exist, so the result is then
 * `unlisted`, and the caller requests the image itself; so it does if a policy hides our marker. Memory is bounded by
 * the number of images that `keeps` accepts.
 */
import { isDeepStrictEqual } from 'node:util';
import { withDeadline } from '../lib/abort.ts';
import { backoff } from '../lib/backoff.ts';
import { type Clock, jitter, type Random } from '../lib/clock.ts';
import type { ImageClient } from './client/index.ts';
import type { Image } from './image.ts';
import type { ListFilters } from './list.ts';

/** What is known of an image without asking for it. */
export type Sighting =
  /** Glance held this at the moment asked for, or later. */
  | { kind: 'seen'; image: Image }
  /** A list is on its way: look again in a second. */
  | { kind: 'refreshing' }
  /** No list shows it, or no list is available: request the image itself. */
  | { kind: 'unknown'; why: 'unlisted' | 'unavailable' };

/** A difference between a list and the one before. */
export type ImageNews =
  /** New here, or different from before. */
  | { kind: 'seen'; image: Image }
  /** A full list lacks it although an earlier one had it. It may be deleted, or have lost its marker. */
  | { kind: 'missing'; id: string };

/** What happens to the cache, for metrics. */
export interface ImageCacheObserver {
  looked(answer: 'seen' | 'refreshing' | 'unlisted' | 'unavailable'): void;
  /** `images` are those that this list brought, `kept` all that are known now. */
  listed(list: { full: boolean; images: number; kept: number; durationMs: number }): void;
  failed(list: { full: boolean; error: unknown }): void;
}

export interface ImageCacheOptions {
  list: ImageClient['list'];
  /** The custom properties by which our images are found in a list. */
  mark: Readonly<Record<string, string>>;
  /** Whether the caller will need this image. Others are not kept. */
  keeps: (id: string) => boolean;
  /** Called while a list is read, so it must be brief. */
  onNews: (news: ImageNews) => void;
  clock: Clock;
  random: Random;
  observer?: ImageCacheObserver;
}

export interface ImageCache {
  /** What Glance held at the monotonic time `sinceMs` or later. Begins a list where that is not known. */
  look(id: string, sinceMs: number): Sighting;
  readonly size: number;
  /** Ends the list on its way, if any; no other will begin. */
  close(): void;
}

/** How much earlier than the last list the next one begins: for late commits, and for clocks that disagree. */
export const overlapMs = 30_000;
const listDeadlineMs = 600_000;
/** A full list is made again after so many times the time that the last one took, but at the latest after the longest pause. */
const fullListShare = 100;
const longestBetweenFullMs = 3_600_000;
/** After a list that failed, none is tried for this long. */
const afterFailure = { firstMs: 15_000, maxMs: 3_600_000 };

export function createImageCache(options: ImageCacheOptions): ImageCache {
  const { list, mark, keeps, onNews, clock, random, observer } = options;
  const closed = new AbortController();
  let images = new Map<string, Image>();
  let server: ServerClock = createServerClock();
  /** When the last complete list began: from then on, what is kept is what Glance held. */
  let asOf: number | undefined;
  let fullDueAt = 0;
  let failures = 0;
  let pausedUntil = 0;
  let refreshing = false;

  /** Both lists that fit, with their changes reported. `times` learns from their time stamps. */
  async function walk(filters: ListFilters, times: ServerClock, signal: AbortSignal): Promise<Map<string, Image>> {
    const found = new Map<string, Image>();
    for (const hidden of [false, true]) {
      for await (const image of list({ ...filters, properties: mark, hidden }, signal)) {
        times.saw(image.updatedAt, clock.monotonic());
        if (!keeps(image.id)) continue;
        const slim = slimmed(image);
        const before = images.get(image.id);
        const same = before !== undefined && isDeepStrictEqual(before, slim);
        found.set(image.id, same ? before : slim);
        if (!same) onNews({ kind: 'seen', image: slim });
      }
    }
    return found;
  }

  async function readAll(startedAt: number, signal: AbortSignal): Promise<number> {
    // Learned again each time: the stamp of a wrong clock is forgotten together with its image.
    const times = createServerClock();
    const found = await walk({}, times, signal);
    const missing = [...images.keys()].filter((id) => !found.has(id) && keeps(id));
    images = found;
    server = times;
    const pauseMs = Math.min((clock.monotonic() - startedAt) * fullListShare, longestBetweenFullMs);
    fullDueAt = startedAt + jitter(pauseMs * 0.95, 0.05, random);
    for (const id of missing) onNews({ kind: 'missing', id });
    return found.size;
  }

  async function readChanges(since: Date, signal: AbortSignal): Promise<number> {
    const found = await walk({ updatedSince: since }, server, signal);
    for (const [id, image] of found) images.set(id, image);
    return found.size;
  }

  async function refresh(): Promise<void> {
    const startedAt = clock.monotonic();
    const since = asOf === undefined || startedAt >= fullDueAt ? undefined : server.atLeast(asOf - overlapMs);
    try {
      const count = await withDeadline(clock, 'the list of images', listDeadlineMs, closed.signal, (signal) =>
        since === undefined ? readAll(startedAt, signal) : readChanges(since, signal),
      );
      asOf = startedAt;
      failures = 0;
      const durationMs = clock.monotonic() - startedAt;
      observer?.listed({ full: since === undefined, images: count, kept: images.size, durationMs });
    } catch (error) {
      if (closed.signal.aborted) return;
      pausedUntil = clock.monotonic() + backoff(afterFailure, failures);
      failures++;
      observer?.failed({ full: since === undefined, error });
    } finally {
      refreshing = false;
    }
  }

  function look(id: string, sinceMs: number): Sighting {
    if (asOf !== undefined && asOf >= sinceMs) {
      const image = images.get(id);
      return image === undefined ? { kind: 'unknown', why: 'unlisted' } : { kind: 'seen', image };
    }
    if (!refreshing) {
      if (closed.signal.aborted || clock.monotonic() < pausedUntil) return { kind: 'unknown', why: 'unavailable' };
      refreshing = true;
      void refresh();
    }
    return { kind: 'refreshing' };
  }

  return {
    look(id, sinceMs) {
      const sighting = look(id, sinceMs);
      observer?.looked(sighting.kind === 'unknown' ? sighting.why : sighting.kind);
      return sighting;
    },
    get size() {
      return images.size;
    },
    close() {
      closed.abort(new Error('the session is closed'));
    },
  };
}

/** Locations, and attributes of a newer Glance, are part of no comparison and may be long. */
function slimmed(image: Image): Image {
  const { directUrl: _url, locations: _locations, otherAttributes: _attributes, ...rest } = image;
  return rest;
}

/**
 * A lower bound of the server's time, learned from the times that it stamps on images. Invariant: while the server's clock runs
 * forward at the usual rate, its time is never earlier than `atLeast` says; the local time of day is compared with nothing.
 *
 * A stamp has passed on the server when we read it, and since then as much time has passed there as here. So after a quiet
 * night the next list covers the time since the last list, not all that changed in the last minute with a change.
 */
interface ServerClock {
  /** What was read at the monotonic time `atMs` bore this stamp. What is no time teaches nothing. */
  saw(stamp: string, atMs: number): void;
  /** The server's time at the monotonic time `atMs`, or an earlier one; undefined before the first stamp. */
  atLeast(atMs: number): Date | undefined;
}

export function createServerClock(): ServerClock {
  let aheadMs = Number.NEGATIVE_INFINITY;
  return {
    saw(stamp, atMs) {
      const ms = Date.parse(stamp);
      if (Number.isFinite(ms)) aheadMs = Math.max(aheadMs, ms - atMs);
    },
    atLeast: (atMs) => (Number.isFinite(aheadMs) ? new Date(atMs + aheadMs) : undefined),
  };
}
