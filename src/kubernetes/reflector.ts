/**
 * A reflector: a store with indexes, and the watchers that keep it equal to the server.
 *
 * Guarantees: the store changes only by watcher events. Each listener gets each change once, and none for an object whose
 * resourceVersion is the same; the changes so far always add up to the content.
 *
 * Memory, of 20 000 GlanceImages with every field of the status set (4.5 to 4.7 kB of JSON each): 4 kB of heap each, indexes
 * included, so about 40 MB for 10 000, which a test checks. While a list is read, the old and the new objects are both in
 * memory until the list is complete.
 */
import { aborted } from '../lib/abort.ts';
import { describe, unreachable } from '../lib/errors.ts';
import type { Key } from '../lib/key.ts';
import type { Logger } from '../lib/log.ts';
import { type Item, type KubernetesObject, keyOfObject } from './resource.ts';
import { type WatcherEvent, type WatcherOptions, watchResource } from './watcher.ts';

export type StoreChange<T extends KubernetesObject> =
  | { kind: 'added'; key: Key; after: Item<T>; origin: ChangeOrigin }
  | { kind: 'updated'; key: Key; before: Item<T>; after: Item<T>; origin: ChangeOrigin }
  | { kind: 'deleted'; key: Key; before: Item<T>; origin: ChangeOrigin };

/** `watch`: it has just happened. `list`: it was found in a list, at the start or after an outage. */
export type ChangeOrigin = 'list' | 'watch';

export interface StoreOptions<T extends KubernetesObject> {
  /** The namespaces that the store covers. Default: all. */
  namespaces?: readonly string[];
  /** From an object to the values by which `findBy` returns it. */
  indexes?: Record<string, (item: Item<T>) => readonly string[]>;
  log: Logger;
}

export interface Store<T extends KubernetesObject> {
  readonly namespaces: readonly string[] | undefined;
  readonly size: number;
  /** Whether the first list of every namespace is complete. */
  readonly synced: boolean;
  /** Resolves when it is; rejects with the signal's reason. */
  whenSynced(signal: AbortSignal): Promise<void>;
  get(key: Key): Item<T> | undefined;
  list(): Item<T>[];
  /** Calls the listener after each change from now on. An error that it throws is logged and not passed on. */
  subscribe(listener: (change: StoreChange<T>) => void): void;
  /** All objects for which the index function returned this value. */
  findBy(index: string, value: string): Item<T>[];
  /** `namespace`: the part that a `restarted` event replaces. Default: all. */
  handle(event: WatcherEvent<T>, namespace?: string): void;
}

export function createStore<T extends KubernetesObject>(options: StoreOptions<T>): Store<T> {
  const { namespaces, log } = options;
  const listeners: ((change: StoreChange<T>) => void)[] = [];
  const items = new Map<Key, Item<T>>();
  const indexes = new Map(
    Object.entries(options.indexes ?? {}).map(([name, valuesOf]) => [name, createIndex(valuesOf)] as const),
  );
  const unlisted = new Set<string | undefined>(namespaces ?? [undefined]);
  const synced = Promise.withResolvers<void>();
  if (unlisted.size === 0) synced.resolve();

  function notify(change: StoreChange<T>): void {
    for (const listener of listeners) {
      try {
        listener(change);
      } catch (error) {
        log.error({ error, key: change.key, problem: describe(error) }, 'A listener of the store has failed');
      }
    }
  }

  function put(after: Item<T>, origin: ChangeOrigin): void {
    const key = keyOfObject(after.object);
    const before = items.get(key);
    if (before && before.object.metadata.uid !== after.object.metadata.uid) {
      // Deleted and created again under the same name between two events.
      remove(key, origin);
      put(after, origin);
      return;
    }
    if (before?.object.metadata.resourceVersion === after.object.metadata.resourceVersion) return;
    items.set(key, after);
    for (const index of indexes.values()) index.move(key, before, after);
    notify(before ? { kind: 'updated', key, before, after, origin } : { kind: 'added', key, after, origin });
  }

  function remove(key: Key, origin: ChangeOrigin): void {
    const before = items.get(key);
    if (!before) return;
    items.delete(key);
    for (const index of indexes.values()) index.move(key, before, undefined);
    notify({ kind: 'deleted', key, before, origin });
  }

  function replace(all: Item<T>[], namespace: string | undefined): void {
    const present = new Set(all.map((item) => keyOfObject(item.object)));
    for (const [key, item] of items) {
      if (namespace !== undefined && item.object.metadata.namespace !== namespace) continue;
      if (!present.has(key)) remove(key, 'list');
    }
    for (const item of all) put(item, 'list');
    unlisted.delete(namespace);
    if (unlisted.size === 0) synced.resolve();
  }

  return {
    namespaces,
    get size() {
      return items.size;
    },
    get synced() {
      return unlisted.size === 0;
    },
    async whenSynced(signal) {
      await Promise.race([synced.promise, aborted(signal)]);
      signal.throwIfAborted();
    },
    get: (key) => items.get(key),
    list: () => [...items.values()],
    subscribe: (listener) => void listeners.push(listener),
    findBy(index, value) {
      const keys = indexes.get(index)?.find(value) ?? [];
      return keys.flatMap((key) => items.get(key) ?? []);
    },
    handle(event, namespace) {
      switch (event.kind) {
        case 'restarted':
          return replace(event.items, namespace);
        case 'applied':
          return put(event.item, 'watch');
        case 'deleted':
          return remove(keyOfObject(event.item.object), 'watch');
        case 'bookmark':
          return;
        default:
          return unreachable(event);
      }
    },
  };
}

function createIndex<T extends KubernetesObject>(valuesOf: (item: Item<T>) => readonly string[]) {
  const keysByValue = new Map<string, Set<Key>>();
  return {
    find: (value: string): Key[] => [...(keysByValue.get(value) ?? [])],
    /** Moves `key` from the values of `before` to those of `after`. */
    move(key: Key, before: Item<T> | undefined, after: Item<T> | undefined): void {
      for (const value of before ? valuesOf(before) : []) {
        const keys = keysByValue.get(value);
        keys?.delete(key);
        if (keys?.size === 0) keysByValue.delete(value);
      }
      for (const value of after ? valuesOf(after) : []) {
        const keys = keysByValue.get(value);
        if (keys) keys.add(key);
        else keysByValue.set(value, new Set([key]));
      }
    },
  };
}

export interface ReflectorOptions<T extends KubernetesObject> extends Omit<WatcherOptions<T>, 'scope'> {
  store: Store<T>;
  labelSelector?: string;
}

/**
 * Keeps a store equal to the server, with one watcher for each namespace that the store covers, one for all of them, or none
 * if it covers none. Runs until its signal aborts, and then throws the signal's reason.
 */
export async function runReflector<T extends KubernetesObject>(
  { store, labelSelector, ...options }: ReflectorOptions<T>,
  signal: AbortSignal,
): Promise<void> {
  const selector = labelSelector === undefined ? {} : { labelSelector };
  const reflect = async (namespace: string | undefined) => {
    const scope = namespace === undefined ? selector : { namespace, ...selector };
    for await (const event of watchResource({ ...options, scope }, signal)) store.handle(event, namespace);
  };
  const watchers = (store.namespaces ?? [undefined]).map(reflect);
  await Promise.all([...watchers, aborted(signal)]);
  signal.throwIfAborted();
}
