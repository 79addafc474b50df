/**
 * The queue of keys to reconcile.
 *
 * Guarantees: a key is never with two workers. After each `add` a `take` that begins later hands out the key; after each
 * `addAfter` that happens at the latest when its time has come. A key waits in one place only, however often it is added.
 * The laws of one key: waiting beats delayed, the earlier delay beats the later, fresh beats periodic; what is added while
 * the key is being worked on waits until `done`.
 */
import type { Clock } from '../lib/clock.ts';
import type { Key } from '../lib/outcome.ts';

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
  /** How long each key that is being worked on has been so, in ms. */
  running(): number[];
}

/** What happens to the queue, for metrics. Durations in ms. */
export interface QueueObserver {
  added(): void;
  taken(waitedMs: number): void;
  done(workedMs: number): void;
}

/** A storm of fresh keys lets a periodic one through each so many takes. */
const freshInARow = 8;

interface Waiting {
  priority: Priority;
  since: number;
}

interface Delayed {
  priority: Priority;
  dueAt: number;
  cancel: () => void;
}

export function createQueue(clock: Clock, observer?: QueueObserver): Queue {
  const waiting = { fresh: new Map<Key, Waiting>(), periodic: new Map<Key, Waiting>() };
  const delayed = new Map<Key, Delayed>();
  const processing = new Map<Key, { startedAt: number; again: Waiting | undefined }>();
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
    const before = waiting.fresh.get(key) ?? waiting.periodic.get(key);
    if (!before) observer?.added();
    wait(key, urgent(before, entry));
  }

  function wait(key: Key, entry: Waiting): void {
    if (entry.priority === 'fresh') waiting.periodic.delete(key);
    waiting[entry.priority].set(key, entry);
    const [taker] = takers;
    if (!taker) return;
    takers.delete(taker);
    const next = pop();
    if (next !== undefined) taker(next);
  }

  /** The key whose turn it is, marked as being worked on. */
  function pop(): Key | undefined {
    const yieldToPeriodic = inARow >= freshInARow && waiting.periodic.size > 0;
    const from = waiting.fresh.size > 0 && !yieldToPeriodic ? waiting.fresh : waiting.periodic;
    const [first] = from;
    if (!first) return undefined;
    const [key, { since }] = first;
    inARow = from === waiting.fresh ? inARow + 1 : 0;
    from.delete(key);
    const startedAt = clock.monotonic();
    processing.set(key, { startedAt, again: undefined });
    observer?.taken(startedAt - since);
    return key;
  }

  return {
    add: (key, priority = 'fresh') => add(key, priority),

    addAfter(key, ms, priority = 'periodic') {
      if (ms <= 0) return add(key, priority);
      if (waiting.fresh.has(key) || waiting.periodic.has(key) || processing.get(key)?.again) return;
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
      if (!current) throw new Error(`done was called for ${key}, which nobody had taken`);
      processing.delete(key);
      observer?.done(clock.monotonic() - current.startedAt);
      if (current.again) wait(key, current.again);
    },

    depth: (priority) => waiting[priority].size,
    running: () => [...processing.values()].map(({ startedAt }) => clock.monotonic() - startedAt),
  };
}

/** The more urgent of the two priorities, waiting since the first of them. */
function urgent(before: Waiting | undefined, entry: Waiting): Waiting {
  if (!before) return entry;
  return { priority: before.priority === 'fresh' ? 'fresh' : entry.priority, since: before.since };
}
