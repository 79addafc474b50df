/**
 * Lists, then watches, until its signal aborts: the source of a store's events.
 *
 * Guarantees: applying the events in order gives the content of the server, with some delay. `restarted` replaces everything
 * in one step. No event is lost across a reconnect, because a watch continues from the last version received. No failure ends
 * the generator; only its signal does, and it throws the signal's reason. All times are monotonic: clock changes have no effect.
 * Caveats: intermediate states may be skipped. An object that was deleted during an outage is absent from the next `restarted`
 * instead of being reported as `deleted`. A `restarted` repeats unchanged objects (the store compares their versions).
 *
 * Next step after each failure, after a delay that grows from 0.8 s to 30 s and that a Retry-After can only make longer:
 *
 * | during           | failure                                                    | next step                          |
 * | ---------------- | ---------------------------------------------------------- | ---------------------------------- |
 * | a streaming list | 422 or 400: not supported by the server                    | pages, immediately and from now on |
 * | a streaming list | any other, or its end without its mark                     | this one list in pages             |
 * | a page           | 410, 400 or 404: the token has expired                     | a list from its beginning          |
 * | a page           | any other                                                  | the same page                      |
 * | a watch          | 410 at its start or in its stream, 400, 404, or a version  | a list; the known objects stay     |
 * |                  | from the future (etcd was restored)                        | until it is complete               |
 * | a watch          | 401 (the credentials were read again), 403, 429, 5xx, a    | a watch from the last version      |
 * |                  | reset, idle timeout (half-open), deadline, early end       |                                    |
 * | a watch          | a line that is cut, too long or not an event               | a watch from the last version      |
 * | a watch          | such a line again before any other                         | a list, which skips that line      |
 *
 * A watch that ends after its time is not a failure: it continues from the last version immediately, and every four hours
 * from a new list, in case an event was lost.
 */
import { backoff } from '../lib/backoff.ts';
import { type Clock, jitter, type Random } from '../lib/clock.ts';
import { describe, unreachable } from '../lib/errors.ts';
import type { Key } from '../lib/key.ts';
import type { Logger } from '../lib/log.ts';
import type { KubernetesClient, WatchEvent } from './client.ts';
import { isUnsupported, KubernetesError, needsRelist } from './errors.ts';
import { type Item, type KubernetesObject, keyOfObject, type ResourceType, type WatchScope } from './resource.ts';

export type WatcherEvent<T extends KubernetesObject> =
  /** All existing objects. An object that is not among them does not exist. */
  { kind: 'restarted'; items: Item<T>[] } | WatchEvent<T>;

/** Each step of the watcher, failures included: for freshness metrics and the liveness probe. */
export type WatchProgress =
  | { kind: 'listed'; objects: number }
  | { kind: 'connected' }
  | { kind: 'event' }
  | { kind: 'ended' }
  | { kind: 'failed'; reason: string };

export interface WatcherOptions<T extends KubernetesObject> {
  client: Pick<KubernetesClient, 'listPage' | 'watch'>;
  type: ResourceType<T>;
  scope: WatchScope;
  clock: Clock;
  random: Random;
  log: Logger;
  onProgress?: (progress: WatchProgress) => void;
}

type State<T extends KubernetesObject> =
  /** Nothing is known, or the last version can no longer be used. */
  | { kind: 'empty'; by: 'stream' | 'pages' }
  /** Some pages of the list are known. */
  | { kind: 'listing'; items: Item<T>[]; continueToken: string }
  /**
   * Everything is known up to a version, which each event advances. `unusable` counts the malformed responses at this version;
   * `relistAt` is monotonic.
   */
  | { kind: 'watching'; resourceVersion: string; unusable: number; relistAt: number };

/** The state of a watcher. A failure resumes from it, so each event updates it, not only the end of a step. */
interface Position<T extends KubernetesObject> {
  state: State<T>;
  /** Whether the server supports streaming lists. It is tried once per process. */
  offersStreams: boolean;
}

/** Random within this range, so that the watches of many clients do not end at the same time. Bookmarks come once a minute. */
const shortestWatchSeconds = 240;
const longestWatchSeconds = 290;
/** A server that ends a watch of at least four minutes before this time has a problem. */
const shortestHealthyWatchMs = 60_000;
/** Defence in depth: events have been lost without a 410. */
const relistMs = 4 * 3_600_000;

export async function* watchResource<T extends KubernetesObject>(
  options: WatcherOptions<T>,
  signal: AbortSignal,
): AsyncGenerator<WatcherEvent<T>, never> {
  const { type, scope, clock, random, onProgress } = options;
  const log = options.log.child({ resource: type.plural, ...scope });
  const pause = createPause(clock, random);
  const position: Position<T> = { state: { kind: 'empty', by: 'stream' }, offersStreams: true };
  for (;;) {
    signal.throwIfAborted();
    try {
      yield* step(position, { ...options, log }, signal);
    } catch (error) {
      signal.throwIfAborted();
      const { state } = position;
      if (isStreamingList(state) && isUnsupported(error)) {
        position.offersStreams = false;
        position.state = { kind: 'empty', by: 'pages' };
        log.info({ problem: describe(error) }, 'The API server has no streaming lists; reading lists in pages');
        continue;
      }
      position.state = afterFailure(state, error, position.offersStreams);
      const retryAfterMs = error instanceof KubernetesError ? error.retryAfterMs : undefined;
      const delayMs = pause(retryAfterMs);
      onProgress?.({ kind: 'failed', reason: error instanceof KubernetesError ? error.reason : 'Unknown' });
      const relists = state.kind !== 'empty' && position.state.kind === 'empty';
      const text = relists
        ? 'The watch cannot continue from its last version; listing again'
        : 'The watch failed and is retried';
      log[relists ? 'info' : 'warn']({ state: state.kind, delayMs, problem: describe(error) }, text);
      await clock.sleep(delayMs, signal);
    }
  }
}

function isStreamingList(state: State<KubernetesObject>): boolean {
  return state.kind === 'empty' && state.by === 'stream';
}

/** The table above. */
function afterFailure<T extends KubernetesObject>(state: State<T>, error: unknown, offersStreams: boolean): State<T> {
  const relist: State<T> = { kind: 'empty', by: offersStreams ? 'stream' : 'pages' };
  switch (state.kind) {
    case 'empty':
      return { kind: 'empty', by: 'pages' };
    case 'listing':
      return needsRelist(error) ? relist : state;
    case 'watching': {
      const unusable =
        state.unusable + (error instanceof KubernetesError && error.reason === 'MalformedResponse' ? 1 : 0);
      return needsRelist(error) || unusable > 1 ? relist : { ...state, unusable };
    }
    default:
      return unreachable(state);
  }
}

/** One request to the server, and the events that it returns. */
async function* step<T extends KubernetesObject>(
  position: Position<T>,
  options: WatcherOptions<T>,
  signal: AbortSignal,
): AsyncGenerator<WatcherEvent<T>, void> {
  const { state } = position;
  switch (state.kind) {
    case 'empty':
      if (state.by === 'stream') return yield* watchOnce(position, options, signal);
      return yield* listPage(position, [], undefined, options, signal);
    case 'listing':
      return yield* listPage(position, state.items, state.continueToken, options, signal);
    case 'watching':
      return yield* watchOnce(position, options, signal);
    default:
      return unreachable(state);
  }
}

async function* listPage<T extends KubernetesObject>(
  position: Position<T>,
  known: Item<T>[],
  continueToken: string | undefined,
  options: WatcherOptions<T>,
  signal: AbortSignal,
): AsyncGenerator<WatcherEvent<T>, void> {
  const page = await options.client.listPage(options.type, options.scope, continueToken, signal);
  const items = [...known, ...page.items];
  if (page.continueToken === undefined) yield listed(position, items, page.resourceVersion, options);
  else position.state = { kind: 'listing', items, continueToken: page.continueToken };
}

/** A list is complete at a version; the watch starts there. */
function listed<T extends KubernetesObject>(
  position: Position<T>,
  items: Item<T>[],
  resourceVersion: string,
  { clock, random, log, onProgress }: WatcherOptions<T>,
): WatcherEvent<T> {
  for (const item of items) reportUnreadable(log, item);
  onProgress?.({ kind: 'listed', objects: items.length });
  const relistAt = clock.monotonic() + jitter(relistMs, 0.2, random);
  position.state = { kind: 'watching', resourceVersion, unusable: 0, relistAt };
  return { kind: 'restarted', items };
}

/** A watch; in state `empty` a streaming list, which continues as a watch. */
async function* watchOnce<T extends KubernetesObject>(
  position: Position<T>,
  options: WatcherOptions<T>,
  signal: AbortSignal,
): AsyncGenerator<WatcherEvent<T>, void> {
  const { client, type, scope, clock, random, log, onProgress } = options;
  const openedAt = clock.monotonic();
  const timeoutSeconds = Math.round(shortestWatchSeconds + random() * (longestWatchSeconds - shortestWatchSeconds));
  const from = position.state.kind === 'watching' ? { resourceVersion: position.state.resourceVersion } : {};
  const onOpen = () => onProgress?.({ kind: 'connected' });
  const initial = new Map<Key, Item<T>>();
  for await (const event of client.watch(type, scope, { ...from, timeoutSeconds, onOpen }, signal)) {
    onProgress?.({ kind: 'event' });
    if (position.state.kind !== 'watching') {
      collect(initial, event);
      if (event.kind !== 'bookmark' || !event.endsList) continue;
      yield listed(position, [...initial.values()], event.resourceVersion, options);
      initial.clear();
      continue;
    }
    if (event.kind !== 'bookmark') reportUnreadable(log, event.item);
    position.state = { ...position.state, resourceVersion: event.resourceVersion, unusable: 0 };
    yield event;
  }
  onProgress?.({ kind: 'ended' });
  const { state } = position;
  if (state.kind !== 'watching') throw ended(type, 'before its list was complete');
  if (clock.monotonic() - openedAt < shortestHealthyWatchMs) throw ended(type, 'at once');
  if (clock.monotonic() >= state.relistAt)
    position.state = { kind: 'empty', by: position.offersStreams ? 'stream' : 'pages' };
}

/** A streaming list contains the changes that happen meanwhile, deletions too. */
function collect<T extends KubernetesObject>(items: Map<Key, Item<T>>, event: WatchEvent<T>): void {
  if (event.kind === 'applied') items.set(keyOfObject(event.item.object), event.item);
  if (event.kind === 'deleted') items.delete(keyOfObject(event.item.object));
}

function ended(type: ResourceType<KubernetesObject>, when: string): KubernetesError {
  return new KubernetesError(`The API server ended the watch of ${type.plural} ${when}`, {
    reason: 'EndedEarly',
  });
}

function reportUnreadable(log: Logger, item: Item<KubernetesObject>): void {
  if (item.kind === 'unreadable')
    log.warn({ key: keyOfObject(item.object), problem: item.problem }, 'An object cannot be parsed');
}

/**
 * The delay after each failure: it doubles, starts again from the first after two minutes without a failure, and is never
 * shorter than the server's Retry-After, up to two minutes.
 */
function createPause(clock: Clock, random: Random): (retryAfterMs: number | undefined) => number {
  const growth = { firstMs: 800, maxMs: 30_000 };
  const longestRetryAfterMs = 120_000;
  const healthyMs = 120_000;
  let failures = 0;
  let resumedAt = Number.NEGATIVE_INFINITY;
  return (retryAfterMs = 0) => {
    if (clock.monotonic() - resumedAt >= healthyMs) failures = 0;
    const ownMs = jitter(backoff(growth, failures), 0.2, random);
    // Retry-After is a minimum; the jitter on top keeps the clients of the server apart.
    const delayMs = Math.max(ownMs, Math.min(retryAfterMs, longestRetryAfterMs) * (1 + 0.2 * random()));
    failures++;
    resumedAt = clock.monotonic() + delayMs;
    return delayMs;
  };
}
