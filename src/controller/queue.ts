/**
 * The queue of keys to reconcile.
 *
 * Guarantees: no two workers have the same key. After each `add`, a `take` that begins later returns the key; after each
 * `addAfter`, at the latest when the delay is over. A key waits in one place only, however often it is added: waiting overrides a
 * delay, the earlier delay overrides the later, and fresh overrides periodic. A key that is added while it is in work waits until
 * `done`. Namespaces take turns, and so do the flows of a namespace (`fair-queue.ts`). One flow occupies at most half of the
 * workers that other flows leave, but always one, so that clouds that do not respond leave workers to the others.
 */
import { abortable } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { createFairQueue } from '../lib/fair-queue.ts';
import { type Key, namespaceOf } from '../lib/key.ts';

/** A change, or a check that is due. Ten thousand old objects must not delay a new one. */
export type Priority = 'fresh' | 'periodic';

/** Keys of one flow depend on the same thing that can be slow, such as a cloud. Undefined: they depend on nothing. */
export type Flow = string | undefined;

export interface Queue {
  /** Overrides a delay. */
  add(key: Key, priority?: Priority): void;
  /** Adds the key in `ms` milliseconds, unless it is added earlier. */
  addAfter(key: Key, ms: number, priority?: Priority): void;
  /** Waits for the next key. The caller has it until `done`. Rejects with the signal's reason. */
  take(signal: AbortSignal): Promise<Key>;
  /** Returns a taken key. */
  done(key: Key): void;
  /** Number of waiting keys. */
  depth(priority: Priority): number;
  /** The longest wait of a waiting key so far, in ms; 0 if none waits. */
  longestWait(): number;
  /** How long each key in work has been so, in ms. */
  running(): number[];
  /** Resolves when the key neither waits nor is in work. Delays do not count. Rejects with the signal's reason. */
  whenIdle(key: Key, signal: AbortSignal): Promise<void>;
}

/** What happens to the queue, for metrics. Durations in ms. */
export interface QueueObserver {
  added(): void;
  taken(waitedMs: number): void;
  done(workedMs: number): void;
}

export interface QueueOptions {
  clock: Clock;
  /** Number of workers that take keys. */
  workers: number;
  /** Called again when the key is next, because the flow may become known while it waits. */
  flowOf?: (key: Key) => Flow;
  observer?: QueueObserver;
}

/** A periodic key is taken after this many fresh ones. */
const freshInARow = 8;

interface Entry {
  priority: Priority;
  since: number;
}

interface Delayed {
  dueAt: number;
  cancel: () => void;
}

export function createQueue({ clock, workers, flowOf = () => undefined, observer }: QueueOptions): Queue {
  const ready = {
    fresh: createFairQueue<Key>(namespaceOf, flowOf),
    periodic: createFairQueue<Key>(namespaceOf, flowOf),
  };
  const waiting = new Map<Key, Entry>();
  const delayed = new Map<Key, Delayed>();
  const processing = new Map<Key, { startedAt: number; flow: Flow; again: Entry | undefined }>();
  const takers = new Set<(key: Key) => void>();
  const idleListeners = new Set<{ key: Key; resolve: () => void }>();
  let inARow = 0;

  function add(key: Key, priority: Priority): void {
    delayed.get(key)?.cancel();
    delayed.delete(key);
    const entry = { priority, since: clock.monotonic() };
    const current = processing.get(key);
    if (current) {
      if (current.again === undefined) observer?.added();
      current.again = urgent(current.again, entry);
      return;
    }
    const before = waiting.get(key);
    if (!before) observer?.added();
    wait(key, urgent(before, entry));
    serve();
  }

  function wait(key: Key, entry: Entry): void {
    waiting.set(key, entry);
    if (entry.priority === 'fresh') ready.periodic.remove(key);
    ready[entry.priority].add(key);
  }

  /** Gives keys to workers that wait. */
  function serve(): void {
    for (const taker of takers) {
      const key = pop();
      if (key === undefined) return;
      takers.delete(taker);
      taker(key);
    }
  }

  function mayStart(key: Key): boolean {
    const flow = flowOf(key);
    if (flow === undefined) return true;
    let own = 0;
    for (const each of processing.values()) if (each.flow === flow) own++;
    const others = processing.size - own;
    return own < Math.max(1, Math.floor((workers - others) / 2));
  }

  /** The next key, which is in work from here on. */
  function pop(): Key | undefined {
    const order = inARow < freshInARow ? (['fresh', 'periodic'] as const) : (['periodic', 'fresh'] as const);
    for (const priority of order) {
      const key = ready[priority].take(mayStart);
      if (key === undefined) continue;
      inARow = priority === 'fresh' ? inARow + 1 : 0;
      const startedAt = clock.monotonic();
      const since = waiting.get(key)?.since ?? startedAt;
      waiting.delete(key);
      processing.set(key, { startedAt, flow: flowOf(key), again: undefined });
      observer?.taken(startedAt - since);
      return key;
    }
    return undefined;
  }

  function isIdle(key: Key): boolean {
    return !waiting.has(key) && !processing.has(key);
  }

  return {
    add: (key, priority = 'fresh') => add(key, priority),

    addAfter(key, ms, priority = 'periodic') {
      if (ms <= 0) return add(key, priority);
      if (waiting.has(key) || processing.get(key)?.again) return;
      const dueAt = clock.monotonic() + ms;
      const before = delayed.get(key);
      if (before && before.dueAt <= dueAt) return;
      before?.cancel();
      const cancel = clock.schedule(ms, () => add(key, priority));
      delayed.set(key, { dueAt, cancel });
    },

    take(signal) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        const key = pop();
        if (key !== undefined) return resolve(key);
        const onAbort = () => {
          takers.delete(taker);
          reject(signal.reason);
        };
        const taker = (taken: Key) => {
          signal.removeEventListener('abort', onAbort);
          resolve(taken);
        };
        signal.addEventListener('abort', onAbort, { once: true });
        takers.add(taker);
      });
    },

    done(key) {
      const current = processing.get(key);
      if (!current) throw new Error(`done was called for ${key}, which was not taken`);
      processing.delete(key);
      observer?.done(clock.monotonic() - current.startedAt);
      if (current.again) wait(key, current.again);
      for (const listener of idleListeners) if (listener.key === key && isIdle(key)) listener.resolve();
      // Its flow may start another key now.
      serve();
    },

    depth: (priority) => ready[priority].size,
    longestWait() {
      const now = clock.monotonic();
      let longest = 0;
      for (const { since } of waiting.values()) longest = Math.max(longest, now - since);
      return longest;
    },
    running: () => [...processing.values()].map(({ startedAt }) => clock.monotonic() - startedAt),
    async whenIdle(key, signal) {
      if (isIdle(key)) return;
      const idle = Promise.withResolvers<void>();
      const listener = { key, resolve: idle.resolve };
      idleListeners.add(listener);
      try {
        await abortable(idle.promise, signal);
      } finally {
        idleListeners.delete(listener);
      }
    },
  };
}

/** The more urgent priority, and the time of the earlier entry. */
function urgent(before: Entry | undefined, entry: Entry): Entry {
  if (!before) return entry;
  return { priority: before.priority === 'fresh' ? 'fresh' : entry.priority, since: before.since };
}
