/**
 * Images in one cloud, read by lists: the same information as a request for each image, for the price of a few pages. They are the
 * images with our mark, or those with certain IDs, whatever marks they have.
 *
 * A list runs only if a caller needs newer information than the last one has. It requests the changes since then, by
 * the server's own time, with an overlap for transactions that end late and servers whose clocks disagree a little. A server
 * whose clock is far ahead would hide the changes that others make, so our own clock counts where it shows an earlier time.
 * Other changes, mostly deletions, are found by the full list, which takes at most a hundredth of the time. Hidden images are
 * in lists of their own. Images by their IDs are always listed in full.
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

/** What the cache knows about an image. */
export type CacheLookup =
  /** This was in Glance at the requested moment or later. */
  | { kind: 'seen'; image: Image }
  /** A list is running: try again in a second. */
  | { kind: 'refreshing' }
  /** No list shows it, or no list is available: request the image itself. */
  | { kind: 'unknown'; why: 'unlisted' | 'unavailable' };

/** A difference between a list and the one before. */
export type ImageChange =
  /** New here, or different from before. */
  | { kind: 'seen'; image: Image }
  /** A full list lacks it although an earlier one had it. It may be deleted, or have lost its marker. */
  | { kind: 'missing'; id: string };

/** For metrics. */
export interface ImageCacheObserver {
  lookedUp(result: 'seen' | 'refreshing' | 'unlisted' | 'unavailable'): void;
  /**
   * `images`: number of images in this list that are kept. `kept`: number of images in the cache. `unused`: number of images with our mark that
   * are not kept, after a full list.
   */
  listed(list: { full: boolean; images: number; kept: number; unused?: number; durationMs: number }): void;
  failed(list: { full: boolean; error: unknown }): void;
}

/** What a cache lists. */
export type CacheScope =
  /** The custom properties by which lists find the operator's images. */
  | { kind: 'marked'; mark: Readonly<Record<string, string>> }
  /** The IDs at the moment of a list. */
  | { kind: 'named'; ids: () => readonly string[] };

export interface ImageCacheOptions {
  list: ImageClient['list'];
  scope: CacheScope;
  /** Whether the caller will need this image. Others are not kept. */
  keeps: (id: string) => boolean;
  /** Called while a list is read, so it must be fast. */
  onChange: (change: ImageChange) => void;
  clock: Clock;
  random: Random;
  observer?: ImageCacheObserver;
}

export interface ImageCache {
  /** The image at the monotonic time `sinceMs` or later. Starts a list if the cache is older. */
  get(id: string, sinceMs: number): CacheLookup;
  readonly size: number;
  /** Aborts a running list; no other will start. */
  close(): void;
}

/** How far before the last list the next one begins: for late commits, and for clocks that differ. */
export const overlapMs = 30_000;
/** By more than this, our own clock is wrong, or that of all servers. */
const mostAheadMs = 3_600_000;
const listDeadlineMs = 600_000;
/** The pause until the next full list is this multiple of the duration of the last one, at most the longest pause. */
const fullListShare = 100;
const maxFullPauseMs = 3_600_000;
/** The pause after a failed list. */
const afterFailure = { firstMs: 15_000, maxMs: 3_600_000 };

export function createImageCache(options: ImageCacheOptions): ImageCache {
  const { scope, keeps, onChange, clock, random, observer } = options;
  const closed = new AbortController();
  let images = new Map<string, Image>();
  let server: ServerClock = createServerClock();
  /** When the last complete list began: the cache shows the state of Glance then or later. */
  let asOf: number | undefined;
  let fullDueAt = 0;
  let failures = 0;
  let pausedUntil = 0;
  let refreshing = false;
  /** Images of the last list that are not kept. */
  let unused = 0;

  /** The lists that fit, with their changes reported. `times` learns from their time stamps. */
  async function walk(filters: ListFilters, times: ServerClock, signal: AbortSignal): Promise<Map<string, Image>> {
    const found = new Map<string, Image>();
    unused = 0;
    for await (const image of inScope(options, filters, signal)) {
      times.observe(image.updatedAt, clock.monotonic());
      if (!keeps(image.id)) {
        unused++;
        continue;
      }
      const slim = slimmed(image);
      const before = images.get(image.id);
      const same = before !== undefined && isDeepStrictEqual(before, slim);
      found.set(image.id, same ? before : slim);
      if (!same) onChange({ kind: 'seen', image: slim });
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
    const pauseMs = Math.min((clock.monotonic() - startedAt) * fullListShare, maxFullPauseMs);
    fullDueAt = startedAt + jitter(pauseMs * 0.95, 0.05, random);
    for (const id of missing) onChange({ kind: 'missing', id });
    return found.size;
  }

  async function readChanges(since: Date, signal: AbortSignal): Promise<number> {
    const found = await walk({ updatedSince: since }, server, signal);
    for (const [id, image] of found) images.set(id, image);
    return found.size;
  }

  /** The time that every server shows or has passed at the monotonic time `atMs`; undefined where it is not known. */
  function changedSince(atMs: number): Date | undefined {
    const learned = server.atLeast(atMs);
    if (learned === undefined) return undefined;
    const ours = clock.now().getTime() - clock.monotonic() + atMs;
    const aheadMs = learned.getTime() - ours;
    return aheadMs > 0 && aheadMs <= mostAheadMs ? new Date(ours) : learned;
  }

  async function refresh(): Promise<void> {
    const startedAt = clock.monotonic();
    const isFull = scope.kind === 'named' || asOf === undefined || startedAt >= fullDueAt;
    const since = isFull || asOf === undefined ? undefined : changedSince(asOf - overlapMs);
    try {
      const count = await withDeadline(clock, 'the list of images', listDeadlineMs, closed.signal, (signal) =>
        since === undefined ? readAll(startedAt, signal) : readChanges(since, signal),
      );
      asOf = startedAt;
      failures = 0;
      const durationMs = clock.monotonic() - startedAt;
      const counted = since === undefined && scope.kind === 'marked' ? { unused } : {};
      observer?.listed({ full: since === undefined, images: count, kept: images.size, ...counted, durationMs });
    } catch (error) {
      if (closed.signal.aborted) return;
      pausedUntil = clock.monotonic() + backoff(afterFailure, failures);
      failures++;
      observer?.failed({ full: since === undefined, error });
    } finally {
      refreshing = false;
    }
  }

  function lookUp(id: string, sinceMs: number): CacheLookup {
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
    get(id, sinceMs) {
      const found = lookUp(id, sinceMs);
      observer?.lookedUp(found.kind === 'unknown' ? found.why : found.kind);
      return found;
    },
    get size() {
      return images.size;
    },
    close() {
      closed.abort(new Error('the session is closed'));
    },
  };
}

async function* inScope(
  { list, scope }: ImageCacheOptions,
  changes: ListFilters,
  signal: AbortSignal,
): AsyncGenerator<Image> {
  if (scope.kind === 'named') return yield* listByID(list, scope.ids(), signal);
  for (const hidden of [false, true]) yield* list({ ...changes, properties: scope.mark, hidden }, signal);
}

/** A request has a line of at most 8 KiB at some servers, and so many IDs take 2 KiB. */
const idsAList = 50;

/** The images with these IDs that the project can read, also hidden ones, and those whose sharing it has not accepted. */
async function* listByID(
  list: ImageClient['list'],
  ids: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<Image> {
  let wanted = [...new Set(ids)];
  for (const hidden of [false, true]) {
    const seen = new Set<string>();
    for (let first = 0; first < wanted.length; first += idsAList) {
      const some = wanted.slice(first, first + idsAList);
      const filters = { ids: some, hidden, visibility: 'all', memberStatus: 'all' } as const;
      for await (const image of list(filters, signal, { pageSize: idsAList, limit: some.length })) {
        if (!some.includes(image.id)) continue;
        seen.add(image.id);
        yield image;
      }
    }
    wanted = wanted.filter((id) => !seen.has(id));
  }
}

/** Locations, and attributes of a newer Glance, are part of no comparison and may be long. */
function slimmed(image: Image): Image {
  const { directUrl: _url, locations: _locations, otherAttributes: _attributes, ...rest } = image;
  return rest;
}

/**
 * A lower bound of the server's time, learned from the timestamps of images. With several servers: of the one whose clock is
 * ahead of the others.
 *
 * Invariant: while the server's clock runs forward at the usual rate, its time is never earlier than `atLeast`.
 *
 * The server's time has passed a timestamp when we read it, and since then the same time has passed there as here. So after a
 * quiet night the next list begins at the last list, and not at the last change.
 */
interface ServerClock {
  /** A timestamp that was read at the monotonic time `atMs`. An invalid one is ignored. */
  observe(timestamp: string, atMs: number): void;
  /** The server's time at the monotonic time `atMs`, or an earlier one; undefined before the first timestamp. */
  atLeast(atMs: number): Date | undefined;
}

export function createServerClock(): ServerClock {
  let aheadMs = Number.NEGATIVE_INFINITY;
  return {
    observe(timestamp, atMs) {
      const ms = Date.parse(timestamp);
      if (Number.isFinite(ms)) aheadMs = Math.max(aheadMs, ms - atMs);
    },
    atLeast: (atMs) => (Number.isFinite(aheadMs) ? new Date(atMs + aheadMs) : undefined),
  };
}
