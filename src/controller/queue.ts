/**
 * The queue of keys to reconcile.
 *
 * Guarantees: a key is never with two workers. After each `add` a `take` that begins later hands out the key; after each
 * `addAfter` that happens at the latest when its time has come. A key waits in one place only, however often it is added.
 * The laws of one key: waiting beats delayed, the earlier delay beats the later, fresh beats periodic; what is added while
 * the key is being worked on waits until `done`. The laws between keys: see `line.ts`; and one lane may occupy at most half
 * of the workers that no other lane does, but always one, so that clouds that hang, one or several, leave workers to the rest.
 */
import type { Clock } from '../lib/clock.ts';
import type { Key } from '../lib/key.ts';
import { createLine, type Lane } from './line.ts';

/** Something just changed, or it is only time to look again. Ten thousand old objects must not delay one new one. */
export type Priority = 'fresh' | 'periodic';

export interface Queue {
  /** Now. Overrides a delay. */
  add(key: Key, priority?: Priority): void;
  /** In `ms` milliseconds, unless it comes sooner anyway. */
  addAfter(key: Key, ms: number, priority?: Priority): void;
  /** The next key, which belongs to the caller until `done`. Waits for one; rejects with the signal's reason. */
  take(signal: AbortSignal): Promise<Key>;
  /** Ends what `take` began. */
  done(key: Key): void;
  /** Keys waiting to be taken. */
  depth(priority: Priority): number;
  /** For how long the key has waited that has waited longest, in ms; 0 when none waits. */
  longestWait(): number;
  /** How long each key that is being worked on has been so, in ms. */
  running(): number[];
}

/** What happens to the queue, for metrics. Durations in ms. */
export interface QueueObserver {
  added(): void;
  taken(waitedMs: number): void;
  done(workedMs: number): void;
}

export interface QueueOptions {
  clock: Clock;
  /** How many take from it. */
  workers: number;
  /** What the key has in common with others that can be slow; undefined if nothing. Asked until the key is handed out. */
  laneOf?: (key: Key) => Lane;
  observer?: QueueObserver;
}

/** A storm of fresh keys lets a periodic one through each so many takes. */
const freshInARow = 8;

interface Entry {
  priority: Priority;
  since: number;
}

interface Delayed {
  priority: Priority;
  dueAt: number;
  cancel: () => void;
}

export function createQueue({ clock, workers, laneOf = () => undefined, observer }: QueueOptions): Queue {
  const lines = { fresh: createLine(laneOf), periodic: createLine(laneOf) };
  const delayed = new Map<Key, Delayed>();
  const processing = new Map<Key, { startedAt: number; lane: Lane; again: Entry | undefined }>();
  const takers = new Set<(key: Key) => void>();
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
    const before = entryOf(key);
    if (!before) observer?.added();
    wait(key, urgent(before, entry));
    serve();
  }

  function entryOf(key: Key): Entry | undefined {
    for (const priority of ['fresh', 'periodic'] as const) {
      const since = lines[priority].since(key);
      if (since !== undefined) return { priority, since };
    }
    return undefined;
  }

  function wait(key: Key, { priority, since }: Entry): void {
    if (priority === 'fresh') lines.periodic.remove(key);
    lines[priority].put(key, since);
  }

  /** Hands out what may go to those who wait for it. */
  function serve(): void {
    for (const taker of takers) {
      const key = pop();
      if (key === undefined) return;
      takers.delete(taker);
      taker(key);
    }
  }

  function mayGo(lane: Lane): boolean {
    if (lane === undefined) return true;
    let own = 0;
    for (const each of processing.values()) if (each.lane === lane) own++;
    const others = processing.size - own;
    return own < Math.max(1, Math.floor((workers - others) / 2));
  }

  /** The key whose turn it is, marked as being worked on. */
  function pop(): Key | undefined {
    const order = inARow < freshInARow ? (['fresh', 'periodic'] as const) : (['periodic', 'fresh'] as const);
    for (const priority of order) {
      const next = lines[priority].take(mayGo);
      if (next === undefined) continue;
      inARow = priority === 'fresh' ? inARow + 1 : 0;
      const startedAt = clock.monotonic();
      processing.set(next.key, { startedAt, lane: next.lane, again: undefined });
      observer?.taken(startedAt - next.since);
      return next.key;
    }
    return undefined;
  }

  return {
    add: (key, priority = 'fresh') => add(key, priority),

    addAfter(key, ms, priority = 'periodic') {
      if (ms <= 0) return add(key, priority);
      if (entryOf(key) !== undefined || processing.get(key)?.again) return;
      const dueAt = clock.monotonic() + ms;
      const before = delayed.get(key);
      if (before && before.dueAt <= dueAt) return;
      before?.cancel();
      // The timer is the key's only one, so `add` finds itself in the map and clears it.
      const cancel = clock.schedule(ms, () => add(key, priority));
      delayed.set(key, { priority, dueAt, cancel });
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
      // Its lane has room again, perhaps for others that wait.
      serve();
    },

    depth: (priority) => lines[priority].size,
    longestWait() {
      const now = clock.monotonic();
      return Math.max(...Object.values(lines).map((line) => now - (line.oldest() ?? now)));
    },
    running: () => [...processing.values()].map(({ startedAt }) => clock.monotonic() - startedAt),
  };
}

/** The more urgent of the two priorities, waiting since the first of them. */
function urgent(before: Entry | undefined, entry: Entry): Entry {
  if (!before) return entry;
  return { priority: before.priority === 'fresh' ? 'fresh' : entry.priority, since: before.since };
}
