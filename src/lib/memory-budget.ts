/**
 * A budget of memory that several users share.
 *
 * Guarantees: the shares together never exceed the budget; a user without a share waits for it, first come, first served; a user
 * that already has one never waits, so users cannot wait for each other; spare memory is given only while no user waits.
 */
import { abortable } from './abort.ts';

/** The part of one user. Disposing of it returns it for good: a reader that continues to read ahead gets nothing more. */
export interface MemoryShare extends Disposable {
  /** Asks for a share of at least this size. Nothing is granted yet. */
  want(bytes: number): void;
  /**
   * Resolves when the share is as large as wanted. Rejects with BudgetExceeded, with the reason of the signal, or with ShareReturned if
   * more is wanted of a share that was returned.
   */
  granted(): Promise<void>;
}

/** A user wants more than its share, and the rest of the budget is in use. It can begin again when others have ended. */
export class BudgetExceeded extends Error {}

export class ShareReturned extends Error {
  constructor() {
    super('this share of the memory was returned');
  }
}

export interface MemoryBudget {
  /** Bytes that are granted. */
  readonly used: number;
  share(signal: AbortSignal): MemoryShare;
  /** So many bytes at once, or undefined. */
  spare(bytes: number): Disposable | undefined;
}

interface Place {
  bytes: number;
  grant: () => void;
  giveUp: () => void;
}

export function createMemoryBudget(total: number): MemoryBudget {
  const waiting = new Set<Place>();
  let used = 0;

  function serve(): void {
    for (const next of waiting) {
      if (used + next.bytes > total) return;
      waiting.delete(next);
      used += next.bytes;
      next.grant();
    }
  }

  function share(signal: AbortSignal): MemoryShare {
    let wanted = 0;
    let held = 0;
    let pending: Promise<void> | undefined;
    let place: Place | undefined;
    let isReturned = false;

    function leave(): void {
      if (place !== undefined) waiting.delete(place);
      place = undefined;
      used -= held;
      held = 0;
      serve();
    }

    async function wait(bytes: number): Promise<void> {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const grant = () => {
        held = bytes;
        resolve();
      };
      place = { bytes, grant, giveUp: () => reject(new ShareReturned()) };
      waiting.add(place);
      serve();
      try {
        await abortable(promise, signal);
      } catch (error) {
        leave();
        throw error;
      }
    }

    return {
      want(bytes) {
        // A larger share than the whole budget is the whole budget: its user runs alone.
        wanted = Math.max(wanted, Math.min(bytes, total));
      },
      async granted() {
        if (wanted <= held) return;
        if (isReturned) throw new ShareReturned();
        if (held === 0) {
          pending ??= wait(wanted).finally(() => {
            pending = undefined;
          });
          return pending;
        }
        if (used + wanted - held > total) throw new BudgetExceeded(`${wanted - held} more bytes are in use by others`);
        used += wanted - held;
        held = wanted;
      },
      [Symbol.dispose]() {
        isReturned = true;
        place?.giveUp();
        leave();
      },
    };
  }

  function spare(bytes: number): Disposable | undefined {
    if (waiting.size > 0 || used + bytes > total) return undefined;
    used += bytes;
    let isHeld = true;
    return {
      [Symbol.dispose]() {
        if (!isHeld) return;
        isHeld = false;
        used -= bytes;
        serve();
      },
    };
  }

  return {
    get used() {
      return used;
    },
    share,
    spare,
  };
}
