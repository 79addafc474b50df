/**
 * List, then watch, for ever: what a cache is fed with.
 *
 * Guarantees: whoever applies the events in order holds what the server holds, with some delay. `restarted` replaces
 * everything in one step. No failure ends the generator; only its signal does, whose reason it throws.
 * Caveats: intermediate states may be skipped, and an object deleted during an outage is missed by the next `restarted`
 * instead of being reported as `deleted`.
 *
 * The states and where failures lead: from `empty` and `listing` back to the same request, from `watching` to a new watch
 * from the last resourceVersion; and from each to `empty` when the server has forgotten that version.
 */
import { type Clock, jitter, type Random } from '../lib/clock.ts';
import { describe, retry, unreachable } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { KubernetesClient, WatchEvent } from './client.ts';
import { KubernetesError, needsRelist } from './errors.ts';
import { type Item, type KubernetesObject, keyOfObject, type ResourceType, type Scope } from './resource.ts';

export type WatcherEvent<T extends KubernetesObject> =
  /** All that there is; what is not among it does not exist. */
  { kind: 'restarted'; items: Item<T>[] } | WatchEvent<T>;

/** Each sign that the watcher moves, failures among them: for freshness metrics and the liveness probe. */
export type WatchProgress =
  | { kind: 'listed'; objects: number }
  | { kind: 'connected' }
  | { kind: 'event' }
  | { kind: 'ended' }
  | { kind: 'failed'; reason: string };

export interface WatcherOptions<T extends KubernetesObject> {
  client: Pick<KubernetesClient, 'listPage' | 'watch'>;
  type: ResourceType<T>;
  scope: Scope;
  clock: Clock;
  random: Random;
  log: Logger;
  onProgress?: (progress: WatchProgress) => void;
}

type State<T extends KubernetesObject> =
  /** Nothing is known. */
  | { kind: 'empty' }
  /** Some pages of the list are known. */
  | { kind: 'listing'; items: Item<T>[]; continueToken: string }
  | Watching;

/** Everything is known up to a version, which moves on with each event; `relistAt` is monotonic. */
type Watching = { kind: 'watching'; resourceVersion: string; relistAt: number };

/** Random within this range, so that the watches of many clients do not end together. Bookmarks come once a minute. */
const shortestWatchSeconds = 240;
const longestWatchSeconds = 290;
/** A server asked for at least four minutes that ends a watch before this is not well. */
const shortestHealthyWatchMs = 60_000;
/** A belt beside the braces: events have been lost without a 410. */
const relistMs = 4 * 3_600_000;

export async function* watchResource<T extends KubernetesObject>(
  options: WatcherOptions<T>,
  signal: AbortSignal,
): AsyncGenerator<WatcherEvent<T>, never> {
  const { type, scope, clock, random, onProgress } = options;
  const log = options.log.child({ resource: type.plural, ...scope });
  const pause = createPause(clock, random);
  let state: State<T> = { kind: 'empty' };
  for (;;) {
    signal.throwIfAborted();
    try {
      state = yield* step(state, { ...options, log }, signal);
    } catch (error) {
      signal.throwIfAborted();
      const expired = needsRelist(error);
      if (expired) state = { kind: 'empty' };
      const delayMs = pause();
      onProgress?.({ kind: 'failed', reason: error instanceof KubernetesError ? error.reason : 'Unknown' });
      const text = expired ? 'The watch is too far behind; listing again' : 'A watch failed; it goes on by itself';
      log[expired ? 'info' : 'warn']({ state: state.kind, delayMs, problem: describe(error) }, text);
      await clock.sleep(delayMs, signal);
    }
  }
}

async function* step<T extends KubernetesObject>(
  state: State<T>,
  options: WatcherOptions<T>,
  signal: AbortSignal,
): AsyncGenerator<WatcherEvent<T>, State<T>> {
  switch (state.kind) {
    case 'empty':
      return yield* listOnce([], undefined, options, signal);
    case 'listing':
      return yield* listOnce(state.items, state.continueToken, options, signal);
    case 'watching':
      return yield* watchOnce(state, options, signal);
    default:
      return unreachable(state);
  }
}

async function* listOnce<T extends KubernetesObject>(
  known: Item<T>[],
  continueToken: string | undefined,
  { client, type, scope, clock, random, log, onProgress }: WatcherOptions<T>,
  signal: AbortSignal,
): AsyncGenerator<WatcherEvent<T>, State<T>> {
  const page = await client.listPage(type, scope, continueToken, signal);
  const items = [...known, ...page.items];
  if (page.continueToken !== undefined) return { kind: 'listing', items, continueToken: page.continueToken };
  for (const item of items) reportUnreadable(log, item);
  onProgress?.({ kind: 'listed', objects: items.length });
  yield { kind: 'restarted', items };
  const relistAt = clock.monotonic() + jitter(relistMs, 0.2, random);
  return { kind: 'watching', resourceVersion: page.resourceVersion, relistAt };
}

async function* watchOnce<T extends KubernetesObject>(
  state: Watching,
  { client, type, scope, clock, random, log, onProgress }: WatcherOptions<T>,
  signal: AbortSignal,
): AsyncGenerator<WatcherEvent<T>, State<T>> {
  const openedAt = clock.monotonic();
  const timeoutSeconds = Math.round(shortestWatchSeconds + random() * (longestWatchSeconds - shortestWatchSeconds));
  const onOpen = () => onProgress?.({ kind: 'connected' });
  const watch = client.watch(type, scope, { resourceVersion: state.resourceVersion, timeoutSeconds, onOpen }, signal);
  for await (const event of watch) {
    if (event.kind !== 'bookmark') reportUnreadable(log, event.item);
    // Kept in the state that a failure falls back on, so that nothing is told twice and nothing is left out.
    state.resourceVersion = event.resourceVersion;
    onProgress?.({ kind: 'event' });
    yield event;
  }
  onProgress?.({ kind: 'ended' });
  if (clock.monotonic() - openedAt < shortestHealthyWatchMs) throw endedEarly(type);
  return clock.monotonic() >= state.relistAt ? { kind: 'empty' } : state;
}

function endedEarly(type: ResourceType<KubernetesObject>): KubernetesError {
  return new KubernetesError(`The API server ended the watch of ${type.plural} at once`, {
    reason: 'EndedEarly',
    retry: retry.backoff,
  });
}

function reportUnreadable(log: Logger, item: Item<KubernetesObject>): void {
  if (item.kind === 'unreadable')
    log.warn({ key: keyOfObject(item.object), problem: item.problem }, 'An object cannot be read');
}

/** The wait after each failure: doubling, and small again only after two minutes without one. */
function createPause(clock: Clock, random: Random): () => number {
  const firstMs = 800;
  const longestMs = 30_000;
  const healthyMs = 120_000;
  let failures = 0;
  let resumedAt = Number.NEGATIVE_INFINITY;
  return () => {
    if (clock.monotonic() - resumedAt >= healthyMs) failures = 0;
    const delayMs = jitter(Math.min(longestMs, firstMs * 2 ** failures), 0.2, random);
    failures++;
    resumedAt = clock.monotonic() + delayMs;
    return delayMs;
  };
}
