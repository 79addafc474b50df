/**
 * Triggers: which changes enqueue which keys. A controller has a list of them.
 *
 * Invariant: a trigger only enqueues keys. It never waits, reads a server or decides what a reconcile does, so it does not matter
 * whether several changes enqueue the key of one object once or often. What a list reports is periodic, because a list after a
 * start reports everything; what a watch or another part reports is fresh.
 */
import type { Key } from '../lib/key.ts';
import type { Priority } from './queue.ts';

export type Enqueue = (key: Key, priority: Priority) => void;

export type Trigger = (enqueue: Enqueue) => void;

/** Calls each listener with each change. */
export interface ChangeSource<C> {
  subscribe(listener: (change: C) => void): void;
}

/** The change of an object in a cache. */
export interface ObjectChange {
  key: Key;
  origin: 'list' | 'watch';
}

export interface Emitter<C> extends ChangeSource<C> {
  emit(change: C): void;
}

/** A source for changes that are not in a cache. Listeners must not throw. */
export function createEmitter<C>(): Emitter<C> {
  const listeners: ((change: C) => void)[] = [];
  return {
    subscribe: (listener) => void listeners.push(listener),
    emit(change) {
      for (const listener of listeners) listener(change);
    },
  };
}

/** Enqueues an object when it changes. `isIgnored` recognises our own writes. */
export function changed<C extends ObjectChange>(
  objects: ChangeSource<C>,
  isIgnored: (change: C) => boolean = () => false,
): Trigger {
  return (enqueue) =>
    objects.subscribe((change) => {
      if (!isIgnored(change)) enqueue(change.key, priorityOf(change));
    });
}

/** Enqueues the users of an object when it changes. */
export function referenced(objects: ChangeSource<ObjectChange>, usersOf: (key: Key) => Iterable<Key>): Trigger {
  return (enqueue) =>
    objects.subscribe((change) => {
      for (const user of usersOf(change.key)) enqueue(user, priorityOf(change));
    });
}

/** Enqueues the keys that another part reports. */
export function reported(keys: ChangeSource<Key>, priority: Priority = 'fresh'): Trigger {
  return (enqueue) => keys.subscribe((key) => enqueue(key, priority));
}

function priorityOf({ origin }: ObjectChange): Priority {
  return origin === 'list' ? 'periodic' : 'fresh';
}
